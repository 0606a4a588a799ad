"""The algebra of the simplifier, as tables of rules.

Literals stand on the right (the first table sees to it), so the other patterns need one form.
"""

from __future__ import annotations

from tdsl.ir.rewriting import (
    Domain,
    Match,
    Rule,
    Term,
    absolute,
    choice,
    fused,
    literal,
    maximum,
    minimum,
    negated,
    number,
    wild,
)

x, y, z = wild("x"), wild("y"), wild("z")
same = x
a, b, c = literal("a"), literal("b"), literal("c")
TRUE, FALSE = number(True), number(False)


def _lone_literal(m: Match) -> bool:
    return not m.is_literal(x)


def _divides(m: Match) -> bool:
    """`a` is a positive divisor of `c`."""
    return m[a] > 0 and m[c] % m[a] == 0


def _block(m: Match) -> int | None:
    """The one value of `x // a`, if there is one."""
    low, high = m.range(x)
    if low is None or high is None or m[a] <= 0 or low // m[a] != high // m[a]:
        return None
    return low // m[a]


def _one_block(m: Match) -> bool:
    return _block(m) is not None


def _block_of(m: Match) -> int:
    found = _block(m)
    assert found is not None
    return found


def _at_most(m: Match, low: Term, high: Term) -> bool:
    """Whether `low <= high` always holds."""
    most = m.range(low - high)[1]
    return most is not None and most <= 0


LITERALS_RIGHT = (
    Rule("literal-right-add", a + x, x + a, _lone_literal, Domain.ANY),
    Rule("literal-right-mul", a * x, x * a, _lone_literal, Domain.ANY),
    Rule("literal-right-min", minimum(a, x), minimum(x, a), _lone_literal, Domain.EXACT),
    Rule("literal-right-max", maximum(a, x), maximum(x, a), _lone_literal, Domain.EXACT),
    Rule("literal-right-and", a & x, x & a, _lone_literal, Domain.EXACT),
    Rule("literal-right-or", a | x, x | a, _lone_literal, Domain.EXACT),
    Rule("literal-right-xor", a ^ x, x ^ a, _lone_literal, Domain.EXACT),
    Rule("literal-right-lt", a < x, x > a, _lone_literal, Domain.ANY),
    Rule("literal-right-le", a <= x, x >= a, _lone_literal, Domain.ANY),
    Rule("literal-right-gt", a > x, x < a, _lone_literal, Domain.ANY),
    Rule("literal-right-ge", a >= x, x <= a, _lone_literal, Domain.ANY),
    Rule("literal-right-eq", a.eq(x), x.eq(a), _lone_literal, Domain.ANY),
    Rule("literal-right-ne", a.ne(x), x.ne(a), _lone_literal, Domain.ANY),
)

ADDITIONS = (
    Rule("add-zero", x + 0, x),
    Rule("fold-add", (x + a) + b, lambda m: x + (m[a] + m[b])),
    Rule("literals-last", (x + a) + y, lambda m: (x + y) + m[a], lambda m: not m.is_literal(y)),
    Rule("literals-out", x + (y + a), lambda m: (x + y) + m[a]),
    Rule("sub-literal", x - a, lambda m: x + -m[a]),
    Rule("sub-self", x - x, number(0)),
    Rule("sub-from-sum", (x + y) - y, x),
    Rule("sub-from-sum-left", (x + y) - x, y),
    Rule("sub-sum", x - (x + y), -y),
    Rule("add-difference", (x - y) + y, x),
    Rule("add-difference-right", y + (x - y), x),
    Rule("sub-literals-out", (x + a) - y, lambda m: (x - y) + m[a]),
    Rule("sub-literals-out-right", x - (y + a), lambda m: (x - y) + -m[a]),
    Rule("add-negative", x + -y, x - y),
    Rule("sub-negative", x - -y, x + y),
    Rule("zero-minus", a - x, -x, lambda m: m[a] == 0),
    Rule("double", x + x, x * 2),
    Rule("collect", x * a + x * b, lambda m: x * (m[a] + m[b])),
    Rule("collect-one", x * a + x, lambda m: x * (m[a] + 1)),
    Rule("collect-one-left", x + x * a, lambda m: x * (m[a] + 1)),
    Rule("collect-difference", x * a - x * b, lambda m: x * (m[a] - m[b])),
    Rule("collect-difference-one", x * a - x, lambda m: x * (m[a] - 1)),
    Rule("negate-twice", negated(-x), x),
    Rule("negate-difference", -(x - y), y - x),
)

PRODUCTS = (
    Rule("mul-zero", x * 0, number(0)),
    Rule("mul-one", x * 1, x),
    Rule("fold-mul", (x * a) * b, lambda m: x * (m[a] * m[b])),
    Rule("distribute", (x + a) * b, lambda m: x * m[b] + m[a] * m[b]),
    Rule("mul-negative", (-x) * a, lambda m: x * -m[a]),
    Rule("negate-product", -(x * a), lambda m: x * -m[a]),
    Rule("shift-zero-left", x << 0, x),
    Rule("shift-zero-right", x >> 0, x),
)

DIVISIONS = (
    Rule("div-one", x // 1, x),
    Rule("mod-one", x % 1, number(0)),
    Rule("div-by-zero", x // 0, number(0)),
    Rule("mod-by-zero", x % 0, number(0)),
    Rule("mod-mod", (x % a) % a, x % a),
    Rule("div-multiple", (x * c) // a, lambda m: x * (m[c] // m[a]), _divides, Domain.INDEX),
    Rule("mod-multiple", (x * c) % a, number(0), _divides, Domain.INDEX),
    Rule(
        "split-outer",
        (x * c + y) // a,
        lambda m: x * (m[c] // m[a]) + y // m[a],
        _divides,
        Domain.INDEX,
    ),
    Rule(
        "split-outer-left",
        (y + x * c) // a,
        lambda m: x * (m[c] // m[a]) + y // m[a],
        _divides,
        Domain.INDEX,
    ),
    Rule("split-inner", (x * c + y) % a, lambda m: y % m[a], _divides, Domain.INDEX),
    Rule("split-inner-left", (y + x * c) % a, lambda m: y % m[a], _divides, Domain.INDEX),
    Rule(
        "div-literals-out",
        (x + c) // a,
        lambda m: x // m[a] + m[c] // m[a],
        _divides,
        Domain.INDEX,
    ),
    Rule("mod-literals-out", (x + c) % a, lambda m: x % m[a], _divides, Domain.INDEX),
    Rule(
        "div-coarser",
        (x * c + y) // a,
        lambda m: x // (m[a] // m[c]),
        lambda m: m[c] > 0 and m[a] > 0 and m[a] % m[c] == 0 and m.inside(y, m[c]),
        Domain.INDEX,
    ),
    Rule(
        "mod-coarser",
        (x * c + y) % a,
        lambda m: (x % (m[a] // m[c])) * m[c] + y,
        lambda m: m[c] > 1 and m[a] > m[c] and m[a] % m[c] == 0 and m.inside(y, m[c]),
        Domain.INDEX,
    ),
    Rule(
        "div-div",
        (x // a) // b,
        lambda m: x // (m[a] * m[b]),
        lambda m: m[a] > 0 and m[b] > 0 and m[a] * m[b] < 1 << 31,
        Domain.INDEX,
    ),
    Rule(
        "mod-coarse-mod",
        (x % c) % a,
        lambda m: x % m[a],
        lambda m: m[c] > 0 and _divides(m),
        Domain.INDEX,
    ),
    Rule("div-small", x // a, _block_of, _one_block, Domain.INDEX),
    Rule("mod-small", x % a, lambda m: x + -_block_of(m) * m[a], _one_block, Domain.INDEX),
    Rule("rejoin", (x // a) * a + x % a, x, lambda m: m[a] > 0, Domain.INDEX),
    Rule("rejoin-left", x % a + (x // a) * a, x, lambda m: m[a] > 0, Domain.INDEX),
    Rule("rest", x - (x // a) * a, lambda m: x % m[a], lambda m: m[a] > 0, Domain.INDEX),
)

EXTREMA = (
    Rule("min-self", minimum(x, x), x, None, Domain.ANY),
    Rule("max-self", maximum(x, x), x, None, Domain.ANY),
    Rule(
        "fold-min",
        minimum(minimum(x, a), b),
        lambda m: minimum(x, min(m[a], m[b])),
    ),
    Rule(
        "fold-max",
        maximum(maximum(x, a), b),
        lambda m: maximum(x, max(m[a], m[b])),
    ),
    Rule("min-again", minimum(minimum(x, y), y), minimum(x, y), None, Domain.EXACT),
    Rule("max-again", maximum(maximum(x, y), y), maximum(x, y), None, Domain.EXACT),
    Rule("min-of-max", minimum(maximum(x, y), y), y, None, Domain.EXACT),
    Rule("max-of-min", maximum(minimum(x, y), y), y, None, Domain.EXACT),
    Rule("min-first", minimum(x, y), x, lambda m: _at_most(m, x, y), Domain.INDEX),
    Rule("min-second", minimum(x, y), y, lambda m: _at_most(m, y, x), Domain.INDEX),
    Rule("max-first", maximum(x, y), x, lambda m: _at_most(m, y, x), Domain.INDEX),
    Rule("max-second", maximum(x, y), y, lambda m: _at_most(m, x, y), Domain.INDEX),
    Rule(
        "min-offsets",
        minimum(x + a, x + b),
        lambda m: x + min(m[a], m[b]),
        None,
        Domain.INDEX,
    ),
    Rule(
        "max-offsets",
        maximum(x + a, x + b),
        lambda m: x + max(m[a], m[b]),
        None,
        Domain.INDEX,
    ),
)

COMPARISONS = (
    Rule("lt-self", x < same, FALSE, None, Domain.EXACT),
    Rule("gt-self", x > same, FALSE, None, Domain.EXACT),
    Rule("ne-self", x.ne(x), FALSE, None, Domain.EXACT),
    Rule("le-self", x <= same, TRUE, None, Domain.EXACT),
    Rule("ge-self", x >= same, TRUE, None, Domain.EXACT),
    Rule("eq-self", x.eq(x), TRUE, None, Domain.EXACT),
    Rule("lt-offset", x + a < b, lambda m: x < m[b] - m[a], None, Domain.INDEX),
    Rule("le-offset", x + a <= b, lambda m: x <= m[b] - m[a], None, Domain.INDEX),
    Rule("gt-offset", x + a > b, lambda m: x > m[b] - m[a], None, Domain.INDEX),
    Rule("ge-offset", x + a >= b, lambda m: x >= m[b] - m[a], None, Domain.INDEX),
    Rule("eq-offset", (x + a).eq(b), lambda m: x.eq(m[b] - m[a])),
    Rule("ne-offset", (x + a).ne(b), lambda m: x.ne(m[b] - m[a])),
    Rule(
        "lt-scaled",
        x * a < b,
        lambda m: x < -(-m[b] // m[a]),
        lambda m: m[a] > 0,
        Domain.INDEX,
    ),
    Rule(
        "ge-scaled",
        x * a >= b,
        lambda m: x >= -(-m[b] // m[a]),
        lambda m: m[a] > 0,
        Domain.INDEX,
    ),
    Rule("lt-same-addend", x + z < y + z, x < y, None, Domain.INDEX),
    Rule("le-same-addend", x + z <= y + z, x <= y, None, Domain.INDEX),
    Rule("eq-same-addend", (x + z).eq(y + z), x.eq(y)),
    Rule("ne-same-addend", (x + z).ne(y + z), x.ne(y)),
    Rule("lt-true", x < y, TRUE, lambda m: _at_most(m, x + 1, y), Domain.INDEX),
    Rule("lt-false", x < y, FALSE, lambda m: _at_most(m, y, x), Domain.INDEX),
    Rule("le-true", x <= y, TRUE, lambda m: _at_most(m, x, y), Domain.INDEX),
    Rule("le-false", x <= y, FALSE, lambda m: _at_most(m, y + 1, x), Domain.INDEX),
    Rule("gt-true", x > y, TRUE, lambda m: _at_most(m, y + 1, x), Domain.INDEX),
    Rule("gt-false", x > y, FALSE, lambda m: _at_most(m, x, y), Domain.INDEX),
    Rule("ge-true", x >= y, TRUE, lambda m: _at_most(m, y, x), Domain.INDEX),
    Rule("ge-false", x >= y, FALSE, lambda m: _at_most(m, x + 1, y), Domain.INDEX),
    Rule("eq-false-below", x.eq(y), FALSE, lambda m: _at_most(m, x + 1, y), Domain.INDEX),
    Rule("eq-false-above", x.eq(y), FALSE, lambda m: _at_most(m, y + 1, x), Domain.INDEX),
    Rule("ne-true-below", x.ne(y), TRUE, lambda m: _at_most(m, x + 1, y), Domain.INDEX),
    Rule("ne-true-above", x.ne(y), TRUE, lambda m: _at_most(m, y + 1, x), Domain.INDEX),
)

LOGIC = (
    Rule("and-true", x & TRUE, x, None, Domain.BOOL),
    Rule("and-false", x & FALSE, FALSE, None, Domain.BOOL),
    Rule("or-true", x | TRUE, TRUE, None, Domain.BOOL),
    Rule("or-false", x | FALSE, x, None, Domain.BOOL),
    Rule("and-self", x & x, x, None, Domain.EXACT),
    Rule("or-self", x | x, x, None, Domain.EXACT),
    Rule("and-again", (x & y) & y, x & y, None, Domain.EXACT),
    Rule("or-again", (x | y) | y, x | y, None, Domain.EXACT),
    Rule("xor-false", x ^ FALSE, x, None, Domain.BOOL),
    Rule("not-not", ~~x, x, None, Domain.EXACT),
    Rule("and-not", x & ~x, FALSE, None, Domain.BOOL),
    Rule("or-not", x | ~x, TRUE, None, Domain.BOOL),
    Rule("and-zero", x & 0, number(0)),
    Rule("or-zero", x | 0, x),
    Rule("xor-zero", x ^ 0, x),
)


def _exact_operands(m: Match) -> bool:
    """NaN compares false both ways: comparisons of floats do not flip under `not`."""
    return not m.expr(x).dtype.is_float


NEGATIONS = (
    Rule("not-lt", ~(x < y), x >= y, _exact_operands, Domain.BOOL),
    Rule("not-le", ~(x <= y), x > y, _exact_operands, Domain.BOOL),
    Rule("not-gt", ~(x > y), x <= y, _exact_operands, Domain.BOOL),
    Rule("not-ge", ~(x >= y), x < y, _exact_operands, Domain.BOOL),
    Rule("not-eq", ~(x.eq(y)), x.ne(y), None, Domain.BOOL),
    Rule("not-ne", ~(x.ne(y)), x.eq(y), None, Domain.BOOL),
)

SELECTIONS = (
    Rule("select-true", choice(TRUE, x, y), x, None, Domain.ANY),
    Rule("select-false", choice(FALSE, x, y), y, None, Domain.ANY),
    Rule("select-same", choice(x, y, y), y, None, Domain.ANY),
    Rule("select-not", choice(~x, y, z), choice(x, z, y), None, Domain.ANY),
    Rule("select-condition", choice(x, TRUE, FALSE), x, None, Domain.BOOL),
    Rule("select-negation", choice(x, FALSE, TRUE), ~x, None, Domain.BOOL),
)

FLOATS = (
    Rule("float-mul-one", x * 1.0, x, None, Domain.FLOAT),
    Rule("float-div-one", x / 1.0, x, None, Domain.FLOAT),
    Rule("float-sub-zero", x - 0.0, x, None, Domain.FLOAT),
    Rule("float-add-minus-zero", x + -0.0, x, None, Domain.FLOAT),
    Rule("float-negate-twice", negated(-x), x, None, Domain.FLOAT),
    Rule("float-abs-negated", absolute(-x), absolute(x), None, Domain.FLOAT),
    Rule("float-abs-abs", absolute(absolute(x)), absolute(x), None, Domain.FLOAT),
    Rule("float-add-negative", x + -y, x - y, None, Domain.FLOAT),
    Rule("float-sub-negative", x - -y, x + y, None, Domain.FLOAT),
    Rule("fma-one", fused(x, 1.0, y), x + y, None, Domain.FLOAT),
    Rule("fma-minus-zero", fused(x, y, -0.0), x * y, None, Domain.FLOAT),
)

RULES: tuple[Rule, ...] = (
    *LITERALS_RIGHT,
    *ADDITIONS,
    *PRODUCTS,
    *DIVISIONS,
    *EXTREMA,
    *COMPARISONS,
    *LOGIC,
    *NEGATIONS,
    *SELECTIONS,
    *FLOATS,
)
