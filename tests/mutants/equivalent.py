"""Mutants that compute the same: left out of the count, each with the reason."""

from __future__ import annotations

_FAST_PATH = "a quick test that fails more often; what follows gives the same answer, later"
_CACHE = "how many answers are kept"

# key of the mutant -> why nothing can tell it from the original
EQUIVALENT: dict[str, str] = {
    "tdsl/analysis/commute.py: dropped_element: "
    "('sum', 'prod', 'min', 'max', 'any', 'all', 'argmax', 'argmin') -> "
    "('sum', 'prod', 'min', 'max', 'any', 'all', 'argmax')": _FAST_PATH,
    "tdsl/analysis/commute.py: wrong_order: sorted(map(int, values)) -> list(map(int, values))": (
        "the order in which samples are tried"
    ),
    "tdsl/analysis/commute.py: swapped_comparison: a <= b -> a < b": (
        "operands that tie are equal, and swapping them changes nothing"
    ),
    "tdsl/analysis/storage.py: wrong_answer: return True -> return False": _FAST_PATH,
    "tdsl/analysis/digits.py: dropped_subtraction: linear(cond.b) - linear(cond.a) -> "
    "linear(cond.b)": _FAST_PATH,
    "tdsl/analysis/dependences.py: swapped_comparison: len(_ALGORITHMS) > MOST_ALGORITHMS -> "
    "len(_ALGORITHMS) >= MOST_ALGORITHMS": _CACHE,
    "tdsl/analysis/inside.py: dropped_call: _refuse(state, site, extra, access) -> pass": (
        "an index that depends on data reaches its whole dimension, which is refused below"
    ),
    "tdsl/analysis/recompute.py: swapped_arguments: state.met(s, u) -> state.met(u, s)": (
        "the number of common loops is the same both ways"
    ),
    "tdsl/analysis/reach.py: swapped_arguments: _hull(one, two) -> _hull(two, one)": (
        "the hull of two reaches is the same both ways"
    ),
    "tdsl/analysis/cost.py: swapped_arguments: build.add(distinct, count) -> "
    "build.add(count, distinct)": "a sum, which is tidied at the end",
    "tdsl/analysis/model.py: swapped_comparison: left < right -> left <= right": (
        "asked only where the two differ"
    ),
    "tdsl/analysis/dependences.py: swapped_comparison: len(_MODELS) > MOST_ALGORITHMS -> "
    "len(_MODELS) >= MOST_ALGORITHMS": _CACHE,
    "tdsl/analysis/cost.py: wrong_order: "
    "sorted(accessed_buffers(s), key=lambda b: b.name) -> list(accessed_buffers(s))": (
        "the order of a report's lines"
    ),
    "tdsl/lower/private_tiles.py: swapped_comparison: total > MOST_ELEMENTS -> "
    "total >= MOST_ELEMENTS": "where a limit of effort lies, to one element",
    "tdsl/lower/hoist_loads.py: wrong_order: reversed(found.items()) -> list(found.items())": (
        "the order of bindings that do not mention each other"
    ),
    "tdsl/lower/relax_guards.py: removed_branch: if not dropped: -> if False:": (
        "with no guard dropped no variable varies, and every load stays as it is"
    ),
    "tdsl/lower/join_dimensions.py: added_one: 0 -> 1": "x // 1 and x % 1 are folded when built",
    "tdsl/lower/carry_values.py: dropped_update: "
    "stored |= {n.buffer for n in below if isinstance(n, Alloc)} -> pass": (
        "what is allocated in a loop is stored in it before it is read"
    ),
}
