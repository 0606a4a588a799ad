"""A user's kernel that the library has no operator for: the tuner sees it as a file."""

import tdsl as td


def distances(n: int = 2048, k: int = 1024) -> td.Func:
    """How far rows of a scaled matrix are from a centre, squashed: a reduction with both ends."""
    x = td.placeholder((n, k), "float32", name="x")
    scale = td.placeholder((k,), "float32", name="scale")
    centre = td.placeholder((k,), "float32", name="centre")
    gap = td.compute((n, k), lambda i, j: x[i, j] * scale[j] - centre[j], name="gap")
    j = td.reduce_axis(k, name="j")
    total = td.compute((n,), lambda i: td.sum(gap[i, j] * gap[i, j], axis=j), name="total")
    near = td.compute((n,), lambda i: td.exp(total[i] * (-1.0 / k)), name="near")
    return td.func("distances", [x, scale, centre], [near])
