"""Every rule of the simplifier is true: both sides are evaluated at random points."""

import math
import random

import pytest
from hypothesis import given, settings, strategies as st

from tdsl import dtypes
from tdsl.errors import InternalError
from tdsl.ir import build
from tdsl.ir.expr import Binary, Const, Expr, Select, Unary, Var
from tdsl.ir.interp_exprs import ExprCompiler
from tdsl.ir.interp_memory import Memory
from tdsl.ir.rewriting import LITERALS, WILD, Domain, Rule, instantiate
from tdsl.ir.rules import RULES
from tdsl.ir.visit import free_vars

DTYPES = {
    Domain.INTEGER: [dtypes.int8, dtypes.uint8, dtypes.int32, dtypes.int64, dtypes.uint64],
    Domain.INDEX: [dtypes.INDEX],
    Domain.BOOL: [dtypes.bool_],
    Domain.FLOAT: [dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64],
    Domain.EXACT: [dtypes.int8, dtypes.uint16, dtypes.bool_],
    Domain.ANY: [dtypes.int8, dtypes.float32, dtypes.bool_, dtypes.uint64],
}
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-7, 65504.0, 3.5]


def value_of(rng, dtype):
    if dtype.is_bool:
        return rng.random() < 0.5
    if dtype.is_float:
        value = rng.choice([*SPECIAL, rng.uniform(-100, 100)])
        return build.const(value, dtype).value
    return rng.choice(
        [rng.randint(int(dtype.min), int(dtype.max)), rng.randint(0, 3), int(dtype.max)]
    )


def point(rng, variables, dtype, domain):
    """Values of variables with the ranges that they come from."""
    if domain is not Domain.INDEX:
        return {v: value_of(rng, v.type) for v in variables}, lambda _: (None, None)
    values = {v: rng.choice([rng.randint(-40, 40), rng.randint(0, 6)]) for v in variables}
    bounds = {v: (n - rng.choice([0, 0, 1, 3]), n + rng.choice([0, 0, 1, 3]))
              for v, n in values.items()}  # fmt: skip

    def ranges(e):
        """Exact by brute force over the few values that each variable may take."""
        found = [evaluate(e, at) for at in assignments(bounds, sorted(free_vars(e), key=id))]
        return min(found), max(found)

    return values, ranges


def assignments(bounds, variables):
    if not variables:
        yield {}
        return
    first, *rest = variables
    low, high = bounds[first]
    for n in range(low, high + 1):
        for others in assignments(bounds, rest):
            yield {first: n, **others}


def evaluate(e: Expr, values):
    compiler = ExprCompiler(Memory(detect=False), {}, {})
    frame = []
    for v, x in values.items():
        compiler.slots[v] = len(frame)
        frame.append(x)
    return compiler.code(e)(frame)


def instance(rng, rule: Rule, dtype):
    """The pattern with variables of a dtype for wildcards and random literals."""
    condition = rule.pattern.expr.cond if isinstance(rule.pattern.expr, Select) else None
    conditions = free_vars(condition) if condition is not None else set()
    found = {}
    for wildcard in free_vars(rule.pattern.expr) & WILD:
        own = dtypes.bool_ if wildcard in conditions else dtype
        if wildcard in LITERALS:
            small = rng.choice([-3, -1, 0, 1, 2, 3, 4, 6, 8, 12])
            found[wildcard] = (
                Const(value_of(rng, own), own)
                if rng.random() < 0.3 and rule.domain is not Domain.INDEX
                else build.const(small, own)
            )
        else:
            found[wildcard] = Var(wildcard.name, own)
    return instantiate(rule.pattern.expr, found, dtype), set(found.values())


def pick_dtype(rng, rule):
    if rule.name.startswith(("not-",)):
        return rng.choice([dtypes.int8, dtypes.uint32, dtypes.float32])
    return rng.choice(DTYPES[rule.domain])


def same(a, b):
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    return a == b and math.copysign(1, a) == math.copysign(1, b)


def is_defined(e: Expr, variables):
    """Whether the operations of a pattern exist for the dtype drawn."""
    try:
        evaluate(e, {v: build.const(1, v.type).value for v in variables})
    except InternalError:
        return False
    return True


def test_rules_have_names_of_their_own():
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_both_sides_of_a_rule_agree(rule, seed):
    rng = random.Random(seed)
    for _ in range(4000):
        dtype = pick_dtype(rng, rule)
        e, parts = instance(rng, rule, dtype)
        variables = [v for v in parts if isinstance(v, Var)]
        if not is_defined(e, variables):
            continue
        values, ranges = point(rng, variables, dtype, rule.domain)
        operands = e.a.dtype if isinstance(e, Binary | Unary) else e.dtype
        if not rule.holds_for(operands, is_index=True):
            continue
        new = rule.apply(e, operands, ranges)
        if new is None:
            continue
        assert new.dtype is e.dtype
        assert same(evaluate(e, values), evaluate(new, values)), (e, new, values)
        break
    else:
        pytest.fail("the rule never fits")
