"""Camera pipeline: raw Bayer pixels, in 10 bits, to a colour image in 8 bits.

Hot pixels are cut, the four colours of the mosaic are parted, the two that a site lacks are
interpolated along the direction of the least change, colours are corrected by a matrix in 8.8 fixed
point, and a curve brings them to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tdsl as td

LANES = 64  # pixels of one look-up: the curve stays in registers where these permute bytes
BORDER = 4  # pixels of raw image around the result
BLACK, WHITE = 25, 1023
GAMMA, CONTRAST = 2.0, 50.0
MATRIX = ((437, -115, -49, -6675), (-64, 313, 25, -7209), (-22, -193, 501, -8010))
Site = Callable[[td.Value, td.Value], td.Value]


def _mean(a: td.Value, b: td.Value) -> td.Value:
    """Of two values that are not negative, rounded up."""
    return td.cast((td.cast(a, "uint32") + td.cast(b, "uint32") + 1) >> 1, "uint16")


def _apart(a: td.Value, b: td.Value) -> td.Value:
    """How far two values are from each other."""
    return td.maximum(a, b) - td.minimum(a, b)


def _smoother(a: tuple[td.Value, td.Value], b: tuple[td.Value, td.Value]) -> td.Value:
    """The mean of the pair that differs less, else of the second."""
    return td.select(_apart(*a) < _apart(*b), _mean(*a), _mean(*b))


def _along(own: td.Value, known: td.Tensor, green: td.Tensor, y: td.Value, x: td.Value,
          step: tuple[int, int]) -> td.Value:  # fmt: skip
    """A colour between two sites, and what green lacks of its mean there."""
    dy, dx = step
    error = own - _mean(green[y - 1, x - 1], green[y + dy - 1, x + dx - 1])
    return td.cast(error + _mean(known[y, x], known[y + dy, x + dx]), "int16")


def _across(own: td.Value, known: td.Tensor, green: td.Tensor, y: td.Value, x: td.Value,
           step: tuple[int, int]) -> td.Value:  # fmt: skip
    """The same along the diagonal of the least change."""
    dy, dx = step

    def diagonal(a: tuple[int, int], b: tuple[int, int]) -> tuple[td.Value, td.Value]:
        (ay, ax), (by, bx) = a, b
        error = own - _mean(green[y + ay - 1, x + ax - 1], green[y + by - 1, x + bx - 1])
        pair = known[y + ay, x + ax], known[y + by, x + bx]
        return error + _mean(*pair), _apart(*pair)

    (p, pd), (n, nd) = diagonal((0, 0), (dy, dx)), diagonal((0, dx), (dy, 0))
    return td.cast(td.select(pd < nd, p, n), "int16")


def workload(shape: Mapping[str, int]) -> td.Func:
    """The result has even sides; channel 0 is red."""
    h, w = shape["h"], shape["w"]
    raw = td.placeholder((h + 2 * BORDER + 4, w + 2 * BORDER + 4), "uint16", name="raw")
    high, wide = h // 2 + BORDER, w // 2 + BORDER  # of one colour of the mosaic

    def cut(y: td.Value, x: td.Value) -> td.Value:
        across = td.maximum(raw[y + 2, x], raw[y + 2, x + 4])
        return td.minimum(
            raw[y + 2, x + 2], td.maximum(across, td.maximum(raw[y, x + 2], raw[y + 4, x + 2]))
        )

    D = td.compute((2 * high, 2 * wide), cut, name="D")

    def part(name: str, dy: int, dx: int) -> td.Tensor:
        return td.compute((high, wide), lambda y, x: D[2 * y + dy, 2 * x + dx], name=name)

    # greens in the rows of red and of blue, red and blue
    gr, rr = part("gr", 0, 0), part("rr", 0, 1)
    bb, gb = part("bb", 1, 0), part("gb", 1, 1)

    def inner(name: str, value: Site) -> td.Tensor:
        """A colour at sites that lack it; it stands a row and a column further in than D."""
        return td.compute((high - 2, wide - 2), lambda y, x: value(y + 1, x + 1), name=name)

    # green at red and at blue
    g_r = inner("g_r", lambda y, x: _smoother((gr[y, x + 1], gr[y, x]), (gb[y - 1, x], gb[y, x])))
    g_b = inner("g_b", lambda y, x: _smoother((gb[y, x - 1], gb[y, x]), (gr[y + 1, x], gr[y, x])))

    def quarter(name: str, value: Site) -> td.Tensor:
        """One colour at the sites of another."""
        return td.compute((h // 2, w // 2), lambda y, x: value(y + 2, x + 2), name=name)

    r_gr = quarter("r_gr", lambda y, x: _along(gr[y, x], rr, g_r, y, x, (0, -1)))
    r_gb = quarter("r_gb", lambda y, x: _along(gb[y, x], rr, g_r, y, x, (1, 0)))
    b_gr = quarter("b_gr", lambda y, x: _along(gr[y, x], bb, g_b, y, x, (-1, 0)))
    b_gb = quarter("b_gb", lambda y, x: _along(gb[y, x], bb, g_b, y, x, (0, 1)))
    r_b = quarter("r_b", lambda y, x: _across(g_b[y - 1, x - 1], rr, g_r, y, x, (1, -1)))
    b_r = quarter("b_r", lambda y, x: _across(g_r[y - 1, x - 1], bb, g_b, y, x, (-1, 1)))

    def woven(name: str, planes: tuple[tuple[td.Tensor, int], ...]) -> td.Tensor:
        """Four quarters side by side again; each is indexed from a border of its own."""

        def value(y: td.Value, x: td.Value) -> td.Value:
            q = [td.cast(t[y // 2 + edge, x // 2 + edge], "int16") for t, edge in planes]
            return td.select(
                y % 2 == 0, td.select(x % 2 == 0, q[0], q[1]), td.select(x % 2 == 0, q[2], q[3])
            )

        return td.compute((h, w), value, name=name)

    R = woven("R", ((r_gr, 0), (rr, 2), (r_b, 0), (r_gb, 0)))
    G = woven("G", ((gr, 2), (g_r, 1), (g_b, 1), (gb, 2)))
    B = woven("B", ((b_gr, 0), (b_r, 0), (bb, 2), (b_gb, 0)))

    def curve(i: td.Value) -> td.Value:
        lit = (td.cast(i, "float32") - float(BLACK)) * (1.0 / (WHITE - BLACK))
        g = td.pow(td.minimum(td.maximum(lit, 0.0), 1.0), 1.0 / GAMMA)
        b = 2.0 - 2.0 ** (CONTRAST / 100.0)
        a = 2.0 - 2.0 * b
        dark, light = g * g * a + g * b, 1.0 - ((1.0 - g) * (1.0 - g) * a + (1.0 - g) * b)
        v = td.select(g > 0.5, light, dark) * 255.0 + 0.5
        return td.cast(td.minimum(td.maximum(v, 0.0), 255.0), "uint8")

    C = td.compute((1024,), curve, name="C")

    def corrected(c: td.Value, y: td.Value, x: td.Value) -> td.Value:
        colours = [td.cast(t[y, x], "int32") for t in (R, G, B)]

        def mixed(row: tuple[int, ...]) -> td.Value:
            return sum(
                (v * m for v, m in zip(colours, row, strict=False)), td.cast(row[3], "int32")
            )

        rows = [mixed(row) for row in MATRIX]
        v = td.select(c == 0, rows[0], td.select(c == 1, rows[1], rows[2])) // 256
        return C[td.unchecked(td.cast(td.minimum(td.maximum(v, 0), 1023), "int64"))]

    return td.func("camera", [raw], [td.compute((3, h, w), corrected, name="O")])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Tiles of 32 x 512 pixels, all stages of one before the next."""
    del threads
    s = td.Schedule(func)
    c, y, x = s.loops("O")
    strip, row = s.split(y, 32)
    tile, column = s.split(x, 512)
    s.reorder(strip, tile, row, column, c)
    stages = [name for name in s.blocks() if name not in ("O", "C")]
    for name in reversed(stages):
        s.compute_at(name, at=tile)
    for name in stages:
        s.vectorize(s.split(s.loops(name)[-1], 32, tail="mask")[1], 32)
    vectors, lane = s.split(column, LANES, tail="mask")
    s.reorder(vectors, c, lane)
    s.unroll(c)
    s.vectorize(lane)
    s.vectorize(s.split("C.i", 16)[1])
    s.parallel(strip)
    return s
