"""What each pass makes of small programs, written down: `pinned/<pass>.txt`.

A file holds cases: a title, the program that the pass gets, and what it makes of it, or the word
`unchanged`; a line with `!` is an error or a warning. The first line is the target.

After a change of a pass, `python -m tests.lower.pins` writes the results anew; it refuses to where
the interpreter finds that a result computes something else. Read the difference before you
commit it.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import tdsl.schedules.instructions  # noqa: F401 - cases name the instructions declared there
from tdsl.errors import FormatError, LoweringError, TdslError
from tdsl.ir.interp import HOSTILE, interpret
from tdsl.ir.parser import parse_program
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Program, Role
from tdsl.lower.opencl_pipeline import OPENCL_PIPELINE
from tdsl.lower.packing import packing_program
from tdsl.lower.pipeline import PIPELINE
from tdsl.target import Target, target

FOLDER = Path(__file__).parent / "pinned"


def pack_argument(program: Program, machine: Target) -> Program:
    """What packs the first parameter that has a layout: not a pass, but a program of a program."""
    laid_out = next(param for param in program.params if param.layout is not None)
    return packing_program(program, laid_out, machine)


PASSES = {step.name: step.run for step in (*PIPELINE, *OPENCL_PIPELINE)}
PASSES[pack_argument.__name__] = pack_argument
HEADER = "tdsl-ir 1\n"
TITLE, RESULT, UNCHANGED = "== ", "--\n", "unchanged\n"
SIZES = (1, 2, 3, 5, 8, 17, 33, 70)


@dataclass(frozen=True)
class Pin:
    """One case: `before` and `after` are programs as text, without the header."""

    step: str
    machine: str
    title: str
    before: str
    after: str

    @property
    def program(self) -> Program:
        """What the pass gets."""
        return parse_program(HEADER + self.before)

    def found(self) -> str:
        """What the pass makes of it now."""
        program = self.program
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                made = PASSES[self.step](program, target(self.machine))
            except LoweringError as error:
                message, _, _ = str(error).partition("\n")
                return f"! {type(error).__name__}: {message}\n"
        # a pass that finds nothing to do returns the very program
        text = UNCHANGED if made is program else print_program(made).removeprefix(HEADER)
        said = dict.fromkeys(f"! {w.category.__name__}: {w.message}\n" for w in caught)
        return text + "".join(said)


def pins(path: Path) -> list[Pin]:
    """The cases of a file."""
    first, _, rest = path.read_text().partition("\n")
    machine = first.removeprefix("target ")
    found = []
    for part in ("\n" + rest).split("\n" + TITLE)[1:]:
        title, _, texts = part.partition("\n")
        before, _, after = (texts.rstrip("\n") + "\n").partition(RESULT)
        found.append(Pin(path.name.split(".")[0], machine, title, before, after))
    return found


def written(machine: str, cases: list[Pin]) -> str:
    """The text of a file."""
    parts = [f"{TITLE}{c.title}\n{c.before}{RESULT}{c.after}" for c in cases]
    return "\n".join([f"target {machine}\n", *parts])


def files() -> list[Path]:
    """All files of cases."""
    return sorted(FOLDER.glob("*.txt"))


def computes_something_else(pin: Pin) -> str:
    """What the interpreter finds where a pass changes what a program computes; "" if nothing."""
    after = pin.found()
    if UNCHANGED in after or after.startswith("! "):
        return ""
    changed = parse_program(HEADER + after.partition("\n! ")[0])
    plain = pin.program
    if any(param.layout is not None for param in plain.params):
        return ""  # it takes other arrays
    for size in SIZES if plain.sizes else SIZES[:1]:
        try:
            wanted = _results(plain, size)
        except (TdslError, IndexError, ValueError):
            continue  # not a size that the case is for, or only its text is
        for order in HOSTILE:
            for name, array in _results(changed, size, order=order).items():
                same = wanted[name].shape == array.shape  # or it is in its packed shape
                if same and not np.allclose(wanted[name], array, rtol=1e-5, equal_nan=True):
                    return f"{name} differs for size {size}"
    return ""


def _results(program: Program, size: int, **how: object) -> dict[str, np.ndarray]:
    sizes = {v: size + n for n, v in enumerate(program.sizes)}
    rng = np.random.default_rng(size)
    arrays = {}
    for param in program.params:
        if param.role is not Role.OUT:
            shape = [_number(extent, sizes) for extent in param.buffer.shape]
            kind = param.buffer.dtype.numpy
            arrays[param.buffer.name] = rng.integers(0, 4, shape).astype(kind)
    return interpret(program, arrays, {v.name: n for v, n in sizes.items()}, **how)


def _number(extent: object, sizes: dict) -> int:
    from tdsl.ir.affine import linear
    from tdsl.ir.build import index
    from tdsl.ir.visit import substitute

    return linear(substitute(extent, {v: index(n) for v, n in sizes.items()})).const


def main() -> int:
    """Write the results of all cases anew; 1 if one of them cannot be."""
    refused = 0
    for path in files():
        old = pins(path)
        new = []
        for pin in old:
            try:
                made = replace(pin, after=pin.found())
                problem = computes_something_else(made) if made != pin else ""
            except FormatError as error:
                made, problem = pin, str(error)
            if made != pin or problem:
                print(f"{path.name}: {pin.title}: {problem or 'changed'}")
            refused += bool(problem)
            new.append(pin if problem else made)
        path.write_text(written(old[0].machine, new))
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
