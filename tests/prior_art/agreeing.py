"""What every schedule of this folder must do, whatever else is counted or refused."""

import numpy as np

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.ir.equal import alpha_equal
from tdsl.ir.interp import interpret
from tests.scheduling.running import check, inputs_of


def agrees(s, sizes=None, *, built=False, arrays=None):
    """The schedule computes what its algorithm says, in any order, and its trace makes it again.

    *built*: so does the compiled kernel.
    """
    check(s, sizes, arrays=arrays)
    replays(s)
    given = inputs_of(s.func, sizes or {}, seed=1) if arrays is None else arrays
    wanted = interpret(s.func.program, given, sizes)
    meant = td.reference(s.func)(*given.values())
    by_name = dict(zip(wanted, meant if isinstance(meant, tuple) else (meant,), strict=True))
    results = [wanted]
    if built:
        got = td.build(s)(*[a.copy() for a in given.values()])
        made = dict(zip(wanted, got if isinstance(got, tuple) else (got,), strict=True))
        if s.numerics is Numerics.EXACT:
            for name, value in wanted.items():
                np.testing.assert_array_equal(made[name], value)
        results.append(made)
    for result in results:
        for name, value in by_name.items():
            np.testing.assert_allclose(result[name], value, rtol=1e-4, atol=1e-5)
    return s


def replays(s):
    """The trace, which is a Python program, makes the same program and the same trace again."""
    scope = {"td": td, s.func.name: s.func}
    exec(str(s.trace), scope)
    again = scope["s"]
    assert alpha_equal(s.program, again.program)
    assert again.trace.json() == s.trace.json()
