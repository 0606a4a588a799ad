"""What serial loops update stays in registers while they run, where that is allowed."""

import numpy as np
import pytest

from tdsl.ir.expr import Load
from tdsl.ir.interp import interpret
from tdsl.ir.parser import parse_program
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import For, If, Store
from tdsl.ir.verify import Stage, verify
from tdsl.ir.visit import walk
from tdsl.lower.carry_accumulators import carry_accumulators
from tests.lower.nests import TARGET

HEAD = "func f(x: f32[N], at: i64[N], inout y: f32[12], inout z: f32[N]):\n  for m in 3:\n"


def program(text):
    """x[N], at[N] -> y[12], z[N]; *text* runs for m in 3."""
    lines = [f"    {line}" for line in text.strip("\n").splitlines()]
    return parse_program("tdsl-ir 1\n" + HEAD + "\n".join(lines) + "\n")


def carried(text):
    """The program after the pass, which computes the same for any number of iterations."""
    before = program(text)
    after = carry_accumulators(before, TARGET)
    verify(after, Stage.LOWERING)
    for n in (0, 1, 5):
        numbers = np.arange(12 + 2 * n, dtype=np.float32) + 1
        arrays = {"y": numbers[:12], "x": numbers[12 : 12 + n], "z": numbers[12 + n :]}
        arrays["at"] = np.arange(n) % 3
        want, got = (interpret(p, arrays, {"N": n}) for p in (before, after))
        for name, array in want.items():
            assert np.array_equal(array, got[name]), print_program(after)
    return after


def touches(program, loop="k"):
    """Accesses of y in a loop."""
    (found,) = [n for n in walk(program.body) if isinstance(n, For) and n.var.name == loop]
    return [n for n in walk(found) if isinstance(n, Load | Store) and n.buffer.name == "y"]


KEPT = {
    "an element": """
for k in N:
  y[m] = y[m] + x[k]
""",
    "neighbours": """
for k in N:
  y[m] = y[m] + x[k]
  y[m + 1] = y[m + 1] - x[k]
""",
    "neighbours, the last one first": """
for k in N:
  y[m + 1] = y[m + 1] + x[k]
  y[m] = y[m] - x[k]
""",
    "an element that an inner loop updates": """
for k in N:
  for q in 2:
    y[m] = y[m] + x[k]
""",
    "an element that is updated now and then": """
for k in N:
  if at[k] < 1:
    y[m] = y[m] + x[k]
""",
    "the last element": """
for k in N:
  for q in 2:
    y[m + 9] = y[m + 9] + x[k]
""",
    "vectors beside one another": """
for k in N:
  y[ramp(m * 2, 1, 4)] = y[ramp(m * 2, 1, 4)] + broadcast(x[k], 4)
  y[ramp(m * 2 + 4, 1, 4)] = y[ramp(m * 2 + 4, 1, 4)] - broadcast(x[k], 4)
""",
    "the last vector": """
for k in N:
  for q in 2:
    y[ramp(m * 4, 1, 4)] = y[ramp(m * 4, 1, 4)] + broadcast(x[k], 4)
""",
    "lanes that another vector has where the mask holds, and zeros elsewhere": """
for k in N:
  y[ramp(0, 1, 4); ramp(0, 1, 4) < broadcast(3, 4)] = broadcast(x[k], 4)
  y[ramp(4, 1, 4)] = y[ramp(4, 1, 4)] + y[ramp(0, 1, 4); ramp(0, 1, 4) < broadcast(3, 4)]
""",
    "an index that is out of range where nothing is stored": """
for k in N:
  y[ramp(0, 1, 4); ramp(0, 1, 4) < broadcast(3, 4)] = x[checked(ramp(0, 1, 4) // broadcast(3, 4) \
* broadcast(9, 4), broadcast(N, 4), 1)]
  y[ramp(4, 1, 4)] = y[ramp(0, 1, 4); ramp(0, 1, 4) < broadcast(3, 4)]
""",
    "what is stored first": """
for k in N:
  y[m] = x[k]
  z[k] = y[m] * 2
""",
    "what is stored first, now and then": """
for k in N:
  if at[k] < 1:
    y[m] = x[k]
  z[k] = y[m] * 2
""",
}
LEFT = {
    "elements that may be the same": """
for k in N:
  y[m] = y[m] + x[k]
  y[2 - m] = y[2 - m] - x[k]
""",
    "vectors that overlap": """
for k in N:
  y[ramp(m * 2, 1, 4)] = y[ramp(m * 2, 1, 4)] + broadcast(x[k], 4)
  y[ramp(m * 2 + 3, 1, 4)] = y[ramp(m * 2 + 3, 1, 4)] - broadcast(x[k], 4)
""",
    "vectors that overlap, the last one first": """
for k in N:
  y[ramp(m * 2 + 3, 1, 4)] = y[ramp(m * 2 + 3, 1, 4)] + broadcast(x[k], 4)
  y[ramp(m * 2, 1, 4)] = y[ramp(m * 2, 1, 4)] - broadcast(x[k], 4)
""",
    "vectors with gaps": """
for k in N:
  y[ramp(m, 2, 4)] = y[ramp(m, 2, 4)] + broadcast(x[k], 4)
  y[ramp(m + 4, 1, 4)] = y[ramp(m + 4, 1, 4)] - broadcast(x[k], 4)
""",
    "a vector that is there but for the last row": """
for k in N:
  if m < 2:
    y[ramp(m * 4 + 1, 1, 4)] = y[ramp(m * 4 + 1, 1, 4)] + broadcast(x[k], 4)
""",
    "an element for each iteration": """
for k in 3:
  y[k] = y[k] + 1
""",
    "an element that data names": """
for k in N:
  y[at[k]] = y[at[k]] + x[k]
""",
    "what a name in the loop names": """
for k in N:
  let i = k % 2
  y[i] = y[i] + x[k]
""",
    "what is only read": """
for k in N:
  z[k] = y[m] + x[k]
""",
    "what is asked for": """
for k in N:
  prefetch y[m]
  y[m] = y[m] + x[k]
""",
    "an element that is there from the second row on, in an arm": """
for k in N:
  y[m] = y[m] + select(m >= 1, y[m - 1], 0)
""",
    "an element that is there from the second row on, in a branch": """
for k in N:
  if m >= 1:
    y[m - 1] = y[m - 1] + x[k]
""",
    "an element that is there from the second row on, in a loop": """
for k in N:
  for q in m:
    y[m - 1] = y[m - 1] + x[k]
""",
    "an element that is there but for the last row": """
for k in N:
  if m < 2:
    y[m + 10] = y[m + 10] + x[k]
""",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_a_loop_updates_is_carried(text):
    assert not touches(carried(text))


@pytest.mark.parametrize("text", LEFT.values(), ids=LEFT)
def test_what_may_not_be_touched_outside_stays_in_memory(text):
    assert touches(carried(text))


def test_a_value_that_nothing_reads_before_it_is_stored_is_not_loaded():
    for first, count in (("y[m] = x[k]", 0), ("if at[k] < 1:\n    y[m] = x[k]", 1)):
        after = carried(f"for k in N:\n  {first}\n  z[k] = y[m] * 2")
        loads = [n for n in walk(after.body) if isinstance(n, Load) and n.buffer.name == "y"]
        assert len(loads) == count


def test_only_a_loop_that_may_not_run_is_asked_first():
    for extent, count in (("N", 1), ("2", 0)):
        after = carried(f"for k in {extent}:\n  y[m] = y[m] + 1")
        assert sum(isinstance(n, If) for n in walk(after.body)) == count


def test_a_sum_in_some_lanes_is_added_to_in_all_of_its_register():
    some = "y[ramp(0, 1, 4); ramp(0, 1, 4) < broadcast(3, 4)]"
    after = carried(f"for k in N:\n  {some} = {some} + broadcast(x[k], 4)")
    (loop,) = [n for n in walk(after.body) if isinstance(n, For) and n.var.name == "k"]
    slots = [n for n in walk(loop) if isinstance(n, Load | Store) and n.buffer.name != "x"]
    assert len(slots) == 2
    assert all(n.mask is None for n in slots)


@pytest.mark.parametrize("stream", ["", " stream"])
def test_what_goes_past_the_caches_still_does(stream):
    after = carried(f"for k in N:\n  y[m] = y[m] + x[k]{stream}")
    stores = [n for n in walk(after.body) if isinstance(n, Store) and n.buffer.name == "y"]
    assert [store.stream for store in stores] == [bool(stream)]


@pytest.mark.parametrize(("count", "kept"), [(31, True), (32, False)])
def test_one_register_is_left_for_what_is_added(count, kept):
    lines = [f"y[ramp({16 * n}, 1, 16)] = y[ramp({16 * n}, 1, 16)] + broadcast(x[k], 16)"
             for n in range(count)]  # fmt: skip
    text = HEAD.replace("y: f32[12]", "y: f32[512]") + "    for k in N:\n"
    before = parse_program("tdsl-ir 1\n" + text + "".join(f"      {line}\n" for line in lines))
    assert bool(touches(carry_accumulators(before, TARGET))) is not kept
