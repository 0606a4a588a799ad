"""Worker plug-in: tdsl, with the algorithms and schedules of ``benchmarks/kernels``.

The argument says which schedule: ``hand`` (the file's own), ``const`` (the same, with the file's
constant operands packed ahead), ``default`` and ``tuned``.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]


def start(argument: str, threads: int) -> str:
    """Import the compiler; the kernels are imported when their row comes."""
    del threads
    tdsl = importlib.import_module("tdsl")
    if not hasattr(tdsl, "build"):
        raise ImportError("this tdsl has no build()")
    return argument


def make(argument: str, row: Row, inputs: list[Any], threads: int) -> Callable[[], Any] | None:
    """The row's kernel, writing into outputs that are allocated once, as the peers' do."""
    if row["kind"] == "model":
        return _model(argument, row, inputs, threads) if argument in ("default", "tuned") else None
    name = f"benchmarks.kernels.{row['family']}"
    if importlib.util.find_spec(name) is None:
        return None
    family = importlib.import_module(name)
    shape = {key: value for key, value in row.items() if isinstance(value, int)}
    func = family.workload(shape)
    if func is None:
        return None
    constants = getattr(family, "CONSTANTS", {})
    if argument == "const" and not constants:
        return None
    kernel = _build(argument, family, func, threads)
    convert = getattr(family, "arguments", None)
    arguments = list(inputs if convert is None else convert(*inputs))
    if argument == "const":
        for position, tensor in constants.items():
            arguments[position] = kernel.pack(tensor, arguments[position])
    out = kernel(*arguments)
    return lambda: kernel(*arguments, out=out)


def _build(argument: str, family: Any, func: Any, threads: int) -> Any:
    tdsl = importlib.import_module("tdsl")
    if argument in ("default", "tuned"):
        return tdsl.build(func, schedule=argument)
    schedule = family.constant_schedule if argument == "const" else family.schedule
    return tdsl.build(schedule(func, threads))


def _model(argument: str, row: Row, inputs: list[Any], threads: int) -> Callable[[], Any]:
    tdsl = importlib.import_module("tdsl")
    session = tdsl.Session(row["path"], schedules=argument, threads=threads)
    feeds = {f"in{position}": array for position, array in enumerate(inputs)}
    return lambda: next(iter(session.run(feeds).values()))
