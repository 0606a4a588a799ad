import tdsl as td
from tdsl.ir.expr import Load
from tdsl.ir.visit import walk
from tdsl.lower.pipeline import lower


def test_loads_in_arms_of_vector_selects_keep_their_masks():
    """Both arms are evaluated: what one may assume must not unmask its loads."""
    xs = [td.placeholder((1, 2, 12, 64), "float32", name=f"x{n}") for n in range(3)]
    y = td.compute(
        (3, 2, 12, 64),
        lambda i, j, k, m: td.select(
            i < 1, xs[0][i, j, k, m], td.select(i < 2, xs[1][i - 1, j, k, m], xs[2][i - 2, j, k, m])
        ),
        name="y",
    )
    s = td.Schedule(td.func("stack", xs, [y]))
    s.parallel(s.loops("y")[0])
    s.vectorize(s.loops("y")[-1], 16)
    lowered = lower(s.program, td.target("llvm")).program
    loads = [n for n in walk(lowered.body) if isinstance(n, Load)]
    assert len(loads) == 12
    assert all(load.mask is not None for load in loads)
