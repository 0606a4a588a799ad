"""Whether a schedule computes what its algorithm means, interpreted and built."""

from __future__ import annotations

import json
import warnings

from tdsl.analysis import Numerics
from tdsl.api import build
from tdsl.errors import LoweringError, TdslError
from tdsl.fuzzing.differences import Disagreement, difference
from tdsl.fuzzing.draw import RandomDraw
from tdsl.fuzzing.subject import Sizes, Subject
from tdsl.ir.equal import alpha_equal
from tdsl.ir.interp import HOSTILE, Interpreter, different
from tdsl.lower import LoweringWarning
from tdsl.runtime.kernel import Kernel
from tdsl.scheduling import Schedule, replay

_DATA = (0, 1)


def disagreement(s: Schedule, seed: int | str = 0) -> Disagreement | None:
    """How a schedule's results differ from its algorithm's, for the sizes and data of a seed.

    The scheduled program is interpreted in several orders where that is quick, watching for
    iterations that conflict; the kernel is built and run. A schedule labelled exact must agree bit
    for bit. None: nothing was found.

    >>> import tdsl as td
    >>> A = td.placeholder((8, 4), "float32", name="A")
    >>> k = td.reduce_axis(4, name="k")
    >>> B = td.compute((8,), lambda i: td.sum(A[i, k], axis=k), name="B")
    >>> s = td.Schedule(td.func("row_sums", [A], [B]))
    >>> disagreement(s) is None
    True
    >>> _ = s.parallel("k", unsafe=True)
    >>> print(disagreement(s).oracle)
    interpreter
    """
    return check(Subject(s.func), s, seed)[0]


def check(subject: Subject, s: Schedule, seed: int | str) -> tuple[Disagreement | None, str]:
    """The first disagreement, and how building went: "built", or why the target cannot."""
    found = _replayed(s)
    if found is not None:
        return found, ""
    kernel = _built(s)
    for sizes in subject.sizes(RandomDraw(f"{seed}/sizes")):
        found = subject.check_canonical(sizes)
        if found is None and subject.is_small(sizes):
            found = _interpreted(subject, s, sizes)
        if found is None and not isinstance(kernel, str):
            found = _run(subject, s, kernel, sizes)
        if found is not None:
            shown = ", ".join(f"{name}={n}" for name, n in sizes.items())
            detail = f"{found.detail} ({shown})" if shown else found.detail
            return Disagreement(found.oracle, detail), ""
    return None, kernel if isinstance(kernel, str) else "built"


def _is_exact(s: Schedule) -> bool:
    return s.numerics is Numerics.EXACT and not s.trace.is_unsafe


def _replayed(s: Schedule) -> Disagreement | None:
    """The trace must make the same program again."""
    again = Schedule(s.func, s.target)
    replay(json.loads(json.dumps(s.trace.json())), again)
    if alpha_equal(again.program, s.program):
        return None
    return Disagreement("trace", "the replayed trace gives another program")


def _interpreted(subject: Subject, s: Schedule, sizes: Sizes) -> Disagreement | None:
    arrays, _ = subject.case(sizes, 0)
    expected = subject.interpreted(sizes)
    scheduled = Interpreter(s.program, arrays, sizes, detect_conflicts=True)
    for order in different(s.program, HOSTILE):
        try:
            found = scheduled.run(arrays, order)
        except TdslError as error:
            return Disagreement("interpreter", f"{order.kind.value} order: {error.message}")
        wrong = difference(expected, found, exact=_is_exact(s))
        if wrong:
            return Disagreement("interpreter", f"{order.kind.value} order: {wrong}")
    return None


def _built(s: Schedule) -> Kernel | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LoweringWarning)
            return build(s)
    except LoweringError as error:
        return f"not lowered: {error.message}"


def _run(subject: Subject, s: Schedule, kernel: Kernel, sizes: Sizes) -> Disagreement | None:
    exact = _is_exact(s) and not (subject.has_maths and str(s.target).startswith("opencl"))
    for data in _DATA:
        arrays, expected = subject.case(sizes, data)
        wrong = difference(expected, subject.run(kernel, arrays, sizes), exact=exact)
        if wrong:
            return Disagreement("kernel", wrong)
    return None
