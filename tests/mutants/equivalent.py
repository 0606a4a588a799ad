"""Mutants that compute the same: left out of the count, each with the reason."""

from __future__ import annotations

_FAST_PATH = "a quick test that fails more often; what follows gives the same answer, later"
_CACHE = "how many answers are kept"
_TIE = "where both are equal, either will do"
_NEVER = "nothing of another kind gets here"
_STRIDE = "no ramp has the stride 0"
_DIVISOR = "nothing divides by the literal 0"
_EMPTY_LOOP = "work-items never meet in a loop of no iterations, so there is no barrier in it"
_NAMES_A_TYPE = "a name for annotations"
_ONE_OPEN = "one part alone is open: the one at which the factors are divided"
_COEFFICIENT = "solved for the variable before: its coefficient is not 0"

_LINEAR = "compared as a linear form only"
_NO_INIT = "no leaf runs what is missing"
_OWN = "blocks that are inlined write at their own variables"
_STEP = "blocks of a step write at its number, and no index is equal to none"
_UNEQUAL = "the case that both are equal is left before"

# key of the mutant -> why nothing can tell it from the original
EQUIVALENT: dict[str, str] = {
    "tdsl/analysis/footprint.py: swapped_arguments: gcd(sets, apart) -> gcd(apart, sets)": (
        "the same both ways"
    ),
    "tdsl/analysis/footprint.py: swapped_comparison: slope > 0 -> slope >= 0": (
        "slopes of 0 add nothing"
    ),
    "tdsl/analysis/footprint.py: forgotten_filter: for n in walk(e) if isinstance(n, Var) -> "
    "for n in walk(e)": "nothing but variables has slopes",
    "tdsl/analysis/forecast.py: forgotten_filter: "
    "for child in children(e) if isinstance(child, Expr) -> for child in children(e)": (
        "of these kinds all children are expressions"
    ),
    "tdsl/scheduling/arguments.py: dropped_call: super().__init__(hint) -> pass": (
        "an exception has its arguments from `__new__` on"
    ),
    "tdsl/scheduling/core.py: forgotten_filter: "
    "for var in self.index.loops if var not in state.index.loops -> for var in self.index.loops": (
        "a loop that goes on is not asked what ended it, and its end is noted last"
    ),
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
    "tdsl/analysis/recompute.py: swapped_arguments: state.met(a, b) -> state.met(b, a)": (
        "the number of common loops is the same both ways"
    ),
    "tdsl/analysis/repeat.py: swapped_arguments: state.met(one, two) -> state.met(two, one)": (
        "the number of common loops is the same both ways"
    ),
    "tdsl/analysis/reach.py: swapped_arguments: larger(a.width, b.width) -> "
    "larger(b.width, a.width)": "a maximum",
    "tdsl/analysis/reach.py: swapped_arguments: larger(a.high, b.high) -> larger(b.high, a.high)": (
        "a maximum"
    ),
    "tdsl/analysis/reach.py: swapped_arguments: larger(one.width, two.width) -> "
    "larger(two.width, one.width)": "a maximum",
    "tdsl/analysis/reach.py: swapped_comparison: c > 0 -> c >= 0": "no term has the factor 0",
    "tdsl/analysis/digits.py: swapped_comparison: weight > limit.const -> "
    "weight >= limit.const": "the case that both are equal is answered before",
    "tdsl/analysis/regions.py: swapped_comparison: gap.const < 0 -> gap.const <= 0": (
        "where there is no gap both answers are the same"
    ),
    "tdsl/analysis/regions.py: removed_branch: "
    "if not any((level.var in extent.vars() for level in outer)): -> if False:": _FAST_PATH,
    "tdsl/analysis/execution.py: removed_branch: "
    "if len(runs) == 1 and runs[0].complete: -> if False:": _FAST_PATH,
    "tdsl/analysis/coverage.py: removed_branch: if missing.is_subset(offered): -> if False:": (
        _FAST_PATH
    ),
    "tdsl/analysis/coverage.py: removed_branch: if met.first: -> if False:": (
        "the order in which what is written before is looked at"
    ),
    "tdsl/analysis/recompute.py: removed_branch: if pairs.is_empty(): -> if False:": _FAST_PATH,
    "tdsl/analysis/storage.py: mixed_up_quantifier: "
    "all((dep.source is p.block for dep in readers)) -> "
    "any((dep.source is p.block for dep in readers))": (
        "there is one write, so there is one writer; without readers: the same, later"
    ),
    "tdsl/analysis/storage.py: dropped_intersection: "
    "rivals.intersect(isl().Map.lex_lt(space)) -> rivals": _FAST_PATH,
    "tdsl/analysis/storage.py: forgotten_filter: "
    "for d in state.deps.of_buffer(buffer) if Hazard.RAW in d.hazards -> "
    "for d in state.deps.of_buffer(buffer)": _FAST_PATH,
    "tdsl/analysis/storage.py: wrong_order: reversed(positions) -> list(positions)": (
        "steps tell copies apart in any order"
    ),
    "tdsl/analysis/storage.py: mixed_up_quantifier: "
    "all((state.home(site, buffer).alloc is None for site in state.users(buffer))) -> "
    "any((state.home(site, buffer).alloc is None for site in state.users(buffer)))": (
        "arguments are never allocated, and all else always is"
    ),
    "tdsl/analysis/numerics.py: mixed_up_quantifier: "
    "all((not e.dtype.is_float for e in reducer.identity)) -> "
    "any((not e.dtype.is_float for e in reducer.identity))": (
        "reducers of these names have one component"
    ),
    "tdsl/analysis/model.py: removed_branch: if isinstance(self.bind, isl().MultiAff): -> "
    "if False:": "isl takes a plain function where it expects one in pieces",
    "tdsl/analysis/model.py: removed_branch: if isinstance(bind, isl().MultiAff): -> if False:": (
        "isl takes a plain function where it expects one in pieces"
    ),
    "tdsl/analysis/cost.py: swapped_arguments: build.mul(times, extent) -> "
    "build.mul(extent, times)": "a product, which is tidied at the end",
    "tdsl/analysis/cost.py: swapped_arguments: build.mul(times, flops) -> "
    "build.mul(flops, times)": "a product, which is tidied at the end",
    "tdsl/analysis/cost.py: swapped_arguments: build.mul(times, asked) -> "
    "build.mul(asked, times)": "a product, which is tidied at the end",
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
    "tdsl/lower/apply_layouts.py: swapped_comparison: gap.const >= 0 -> gap.const > 0": _TIE,
    "tdsl/lower/barriers.py: swapped_comparison: axis.size > 1 -> axis.size >= 1": (
        "an axis of one has no two work-items: the question comes out empty"
    ),
    "tdsl/lower/barriers.py: swapped_arguments: _union(pending, left) -> _union(left, pending)": (
        "the order of what is pending"
    ),
    "tdsl/lower/barriers.py: swapped_arguments: _union(left, right) -> _union(right, left)": (
        "the order of what is pending"
    ),
    "tdsl/lower/barriers.py: removed_branch: if not team.axes: -> if False:": _FAST_PATH,
    "tdsl/lower/barriers.py: forgotten_refusal: raise AssertionError(type(s)) -> pass": _NEVER,
    "tdsl/lower/copies.py: forgotten_refusal: "
    "raise InternalError('blocks must be expanded before a nest is copied') -> pass": _NEVER,
    "tdsl/lower/carry_values.py: forgotten_filter: "
    "for n in children(e) if isinstance(n, Expr) -> for n in children(e)": (
        "a buffer has no place, and nothing below it"
    ),
    "tdsl/lower/carry_values.py: wrong_order: sorted(group.anchors()) -> list(group.anchors())": (
        "small whole numbers come out of a set in order"
    ),
    "tdsl/lower/shifts.py: forgotten_filter: "
    "for n in children(e) if isinstance(n, Expr) -> for n in children(e)": (
        "operations of these kinds have nothing else below them"
    ),
    "tdsl/lower/compact_storage.py: swapped_comparison: "
    "int(extent) >= _LONG_ROW * lanes -> int(extent) > _LONG_ROW * lanes": (
        "a row of that length is whole vectors as it is"
    ),
    "tdsl/lower/compact_storage.py: removed_branch: if not plans: -> if False:": _FAST_PATH,
    "tdsl/lower/compact_storage.py: removed_branch: if not used: -> if False:": _FAST_PATH,
    "tdsl/lower/fit_vectors.py: swapped_comparison: lanes < 2 -> lanes <= 2": (
        "two is a length that devices have, which is asked too"
    ),
    "tdsl/lower/lanes.py: swapped_comparison: c <= 0 -> c < 0": "nothing divides by the literal 0",
    "tdsl/lower/lanes.py: swapped_comparison: step < 0 -> step <= 0": _STRIDE,
    "tdsl/lower/lanes.py: swapped_comparison: int(stride) > 0 -> int(stride) >= 0": _STRIDE,
    "tdsl/lower/lanes.py: removed_branch: if mask.lanes == 1: -> if False:": (
        "of a scalar the first lane is asked for below: itself"
    ),
    "tdsl/lower/loop_bounds.py: swapped_comparison: c > 0 -> c >= 0": _COEFFICIENT,
    "tdsl/lower/tighten_loops.py: swapped_comparison: form.coefficient(loop.var) > 0 -> "
    "form.coefficient(loop.var) >= 0": _COEFFICIENT,
    "tdsl/lower/partition_loops.py: swapped_comparison: form.coefficient(loop.var) > 0 -> "
    "form.coefficient(loop.var) >= 0": _COEFFICIENT,
    "tdsl/lower/partition_loops.py: swapped_comparison: n < position -> n <= position": (
        "asked of another position only"
    ),
    "tdsl/lower/move_accesses.py: removed_branch: if not places: -> if False:": _FAST_PATH,
    "tdsl/lower/promote_registers.py: swapped_arguments: "
    "Load(store.buffer, store.indices) -> Load(store.indices, store.buffer)": (
        "nothing of it is asked for but its mask, and it has none"
    ),
    "tdsl/lower/tidy_indices.py: swapped_comparison: d > 0 -> d >= 0": (
        "nothing divides by the literal 0"
    ),
    "tdsl/lower/tidy_indices.py: forgotten_filter: "
    "for n in new if isinstance(n, Expr) -> for n in new": "all of them are expressions",
    "tdsl/lower/tidy_indices.py: dropped_union: Const | Var -> Const": (
        "a variable is as short as it gets, which is found below"
    ),
    "tdsl/lower/transpose_blocks.py: removed_branch: if not isinstance(n, Stmt): -> if False:": (
        "expressions come out as they are"
    ),
    "tdsl/lower/maths/formula.py: forgotten_filter: for n in walk(e) if isinstance(n, Var) -> "
    "for n in walk(e)": "only variables are asked for",
    "tdsl/lower/packing.py: mixed_up_junction: v in seen and op in _CUTS -> "
    "v in seen or op in _CUTS": "parts by another operation are no panels, which is asked below",
    "tdsl/lower/packing.py: forgotten_refusal: raise InternalError(f'no loop over {output}') -> "
    "pass": _NEVER,
    "tdsl/lower/private_tiles.py: dropped_subtraction: own - own.min() -> own": (
        "all places are moved by one distance"
    ),
    "tdsl/lower/private_tiles.py: removed_branch: if isinstance(s, Step): -> if False:": (
        "in a step no access is spread over work-items, so its storage stays as it is"
    ),
    "tdsl/lower/shifts.py: swapped_comparison: 0 < step <= _FAR * lanes -> "
    "0 <= step <= _FAR * lanes": "some step is not 0, and all before the last one are",
    "tdsl/lower/split_first_steps.py: negated_condition: "
    "piece if not pieces else fresh_copy(piece) -> "
    "piece if not not pieces else fresh_copy(piece)": "one of two parts is copied, whichever it is",
    "tdsl/lower/tighten_loops.py: mixed_up_quantifier: "
    "all((isinstance(e, Const) for e in solved)) -> any((isinstance(e, Const) for e in solved))": (
        "the two bounds of an equality are numbers both, or neither is"
    ),
    "tdsl/lower/select_to_mask.py: removed_branch: "
    "if not any((isinstance(n, Select) for e in own for n in walk(e))): -> if False:": _FAST_PATH,
    "tdsl/lower/split_breakpoints.py: removed_branch: if not isinstance(n, Stmt): -> if False:": (
        "expressions come out as they are"
    ),
    "tdsl/lower/split_first_steps.py: swapped_comparison: "
    "positive.coefficient(loop.var) > 0 -> positive.coefficient(loop.var) >= 0": _COEFFICIENT,
    "tdsl/lower/hoist_allocs.py: dropped_intersection: "
    "free_vars(extent) & ranges.keys() -> free_vars(extent)": (
        "an extent without these variables is its own greatest value"
    ),
    "tdsl/lower/facts.py: swapped_comparison: coefficient < 0 -> coefficient <= 0": (
        "what has no part in a goal is no atom of it"
    ),
    "tdsl/lower/facts.py: dropped_union: Var | Const -> Var": _FAST_PATH,
    "tdsl/lower/slide_windows.py: swapped_arguments: "
    "add(window.inner, window.step) -> add(window.step, window.inner)": (
        "compared as a linear form only"
    ),
    "tdsl/lower/barriers.py: swapped_arguments: _union(pending, after) -> _union(after, pending)": (
        "the order of what is pending"
    ),
    "tdsl/lower/barriers.py: swapped_comparison: int(loop.extent.value) > 0 -> "
    "int(loop.extent.value) >= 0": _EMPTY_LOOP,
    "tdsl/lower/barriers.py: swapped_comparison: int(s.extent.value) > 0 -> "
    "int(s.extent.value) >= 0": _EMPTY_LOOP,
    "tdsl/lower/bodies.py: dropped_union: Load | Store | Prefetch -> Load | Store": _NAMES_A_TYPE,
    "tdsl/lower/bodies.py: dropped_union: Load | Store -> Load": _NAMES_A_TYPE,
    "tdsl/lower/bodies.py: removed_branch: if STATEMENTS[type(s)] is None: -> if False:": (
        _FAST_PATH
    ),
    "tdsl/lower/conditions.py: removed_branch: "
    "if not any(map(_may_settle, walk(e))): -> if False:": _FAST_PATH,
    "tdsl/lower/expand_maths.py: removed_branch: if not isinstance(n, Stmt): -> if False:": (
        _FAST_PATH
    ),
    "tdsl/lower/flatten.py: removed_branch: if found is not None: -> if False:": (
        "what is shared is made again, and comes out the same"
    ),
    "tdsl/lower/hoist_allocs.py: removed_branch: "
    "if not free_vars(extent) & ranges.keys(): -> if False:": (
        "an extent without these variables is its own greatest value"
    ),
    "tdsl/lower/join_dimensions.py: swapped_comparison: c > 0 -> c >= 0": _DIVISOR,
    "tdsl/lower/join_dimensions.py: swapped_comparison: value > 0 -> value >= 0": _DIVISOR,
    "tdsl/lower/facts.py: swapped_comparison: int(c) > 0 -> int(c) >= 0": _DIVISOR,
    "tdsl/lower/facts.py: swapped_comparison: value > 0 -> value >= 0": _DIVISOR,
    "tdsl/lower/facts.py: swapped_comparison: k > 0 -> k >= 0": _COEFFICIENT,
    "tdsl/lower/facts.py: swapped_comparison: coefficient > 0 -> coefficient >= 0": (
        "what has no part in a goal is no atom of it"
    ),
    "tdsl/lower/facts.py: removed_branch: if isinstance(e, Var | Const): -> if False:": _FAST_PATH,
    "tdsl/lower/facts.py: removed_branch: if not data: -> if False:": _FAST_PATH,
    "tdsl/lower/facts.py: removed_branch: if goal.is_constant: -> if False:": _FAST_PATH,
    "tdsl/lower/facts.py: swapped_arguments: gcd(have, given) -> gcd(given, have)": (
        "the greatest common divisor is the same both ways"
    ),
    "tdsl/lower/facts.py: mixed_up_junction: op in NEGATED and is_index(a) and is_index(b) -> "
    "op in NEGATED or is_index(a) or is_index(b)": "`holds` asks for indices again",
    "tdsl/lower/facts.py: wrong_order: reversed(facts.forms) -> list(facts.forms)": (
        "the order in which facts are tried"
    ),
    "tdsl/scheduling/layouts.py: swapped_comparison: prod(sizes) <= ENUMERATED -> "
    "prod(sizes) < ENUMERATED": "where a limit of effort lies, to one element",
    "tdsl/scheduling/layouts.py: swapped_comparison: count * span > _MOST_PLACES -> "
    "count * span >= _MOST_PLACES": "where a limit of effort lies, to one place",
    "tdsl/scheduling/layouts.py: forgotten_refusal: raise TypeError(e) -> pass": _NEVER,
    "tdsl/scheduling/ordering.py: forgotten_refusal: "
    "raise InternalError(f'{type(stmt).__name__} between loops') -> pass": _NEVER,
    "tdsl/scheduling/ordering.py: swapped_comparison: met > best[0] -> met >= best[0]": (
        "loops that all are met are met on one path alone; else the step is refused"
    ),
    "tdsl/scheduling/primitives/orders.py: swapped_comparison: len(variables) > 1 -> "
    "len(variables) >= 1": "one loop trades places with itself",
    "tdsl/scheduling/primitives/splits.py: dropped_union: "
    "edit.names_near(first) | edit.names_near(second) -> edit.names_near(first)": (
        "both lie on one path with nothing between them, so that the same names are near"
    ),
    "tdsl/scheduling/proof.py: swapped_arguments: "
    "remembered.recall(attempt.algorithm, attempt.program) -> "
    "remembered.recall(attempt.program, attempt.algorithm)": (
        "a name of the pair all the same; it lacks how arguments lie, which is not proven"
    ),
    "tdsl/scheduling/rewriting.py: mixed_up_quantifier: "
    "any((write.buffer in buffers for write in leaf.block.writes)) -> "
    "all((write.buffer in buffers for write in leaf.block.writes))": (
        "asked of all tensors that a block writes, which others write together too"
    ),
    "tdsl/scheduling/splitting.py: swapped_comparison: int(extent.value) >= inner -> "
    "int(extent.value) > inner": "an extent of one whole block has no tail, which is seen before",
    "tdsl/scheduling/splitting.py: forgotten_filter: "
    "for f in factors[at + 1:] if f is not None -> for f in factors[at + 1:]": _ONE_OPEN,
    "tdsl/scheduling/splitting.py: forgotten_filter: "
    "for f in factors[:at] if f is not None -> for f in factors[:at]": _ONE_OPEN,
    "tdsl/scheduling/splitting.py: forgotten_filter: "
    "for f in factors[1:] if f is not None -> for f in factors[1:]": _ONE_OPEN,
    "tdsl/scheduling/boxes.py: removed_branch: if is_const(rng.origin, 0) and rng.extent == "
    "extent: -> if False:": _FAST_PATH,
    "tdsl/scheduling/placing.py: swapped_comparison: shift.const >= 0 -> shift.const > 0": _TIE,
    "tdsl/scheduling/placing.py: swapped_arguments: add(two.origin, two.extent) -> "
    "add(two.extent, two.origin)": _LINEAR,
    "tdsl/scheduling/placing.py: swapped_arguments: add(one.origin, one.extent) -> "
    "add(one.extent, one.origin)": _LINEAR,
    "tdsl/scheduling/primitives/caches.py: forgotten_filter: for x, new in mapping.items() if "
    "x.init and new.init -> for x, new in mapping.items()": _NO_INIT,
    "tdsl/scheduling/primitives/caches.py: mixed_up_junction: x.init and new.init -> x.init "
    "or new.init": _NO_INIT,
    "tdsl/scheduling/primitives/caches.py: forgotten_filter: for leaf in leaves[:until + 1] "
    "if touches(leaf, buffers) -> for leaf in leaves[:until + 1]": (
        "a block that does not touch a tensor is the same with another in its place"
    ),
    "tdsl/scheduling/primitives/inlining.py: forgotten_filter: for var, index in "
    "zip(write.indices, n.indices, strict=True) if var in gone.vars -> for var, index in "
    "zip(write.indices, n.indices, strict=True)": _OWN,
    "tdsl/scheduling/primitives/inlining.py: forgotten_filter: for d, var in "
    "enumerate(indices) if isinstance(var, Var) -> for d, var in enumerate(indices)": _OWN,
    "tdsl/scheduling/primitives/inlining.py: removed_branch: if own is None or at not in "
    "write.indices: -> if False:": _STEP,
    "tdsl/scheduling/primitives/inlining.py: mixed_up_junction: own is None or at not in "
    "write.indices -> own is None and at not in write.indices": _STEP,
    "tdsl/scheduling/primitives/inlining.py: swapped_comparison: at[gone] < at[change.block] "
    "<= last -> at[gone] <= at[change.block] <= last": (
        "what changes a tensor that it reads is not inlined at all"
    ),
    "tdsl/scheduling/primitives/jams.py: swapped_comparison: longer.const > 0 -> longer.const "
    ">= 0": _UNEQUAL,
    "tdsl/scheduling/primitives/jams.py: swapped_comparison: longer.const < 0 -> longer.const "
    "<= 0": _UNEQUAL,
    "tdsl/scheduling/primitives/jams.py: swapped_comparison: order.index(id(guests[0])) < "
    "order.index(id(hosts[0])) -> order.index(id(guests[0])) <= order.index(id(hosts[0]))": (
        "two statements of one list stand at two places"
    ),
    "tdsl/scheduling/primitives/mapping.py: forgotten_filter: for it in found.block.iters if "
    "isinstance(it.extent, Const) -> for it in found.block.iters": (
        "the loops of an instruction have constant extents"
    ),
    "tdsl/scheduling/primitives/sharing.py: swapped_arguments: edit.error(refused.reason, "
    "refused.hint) -> edit.error(refused.hint, refused.reason)": (
        "nothing of it is used but the nest and the place in the source"
    ),
    "tdsl/scheduling/primitives/sharing.py: swapped_arguments: equal(a, b) -> equal(b, a)": (
        "equal both ways"
    ),
    "tdsl/scheduling/primitives/storage.py: swapped_arguments: add(extent, more) -> add(more, "
    "extent)": "a sum",
    "tdsl/analysis/model.py: removed_branch: "
    "if all((frame.is_plain(b) for b in bindings)): -> if False:": (
        "isl takes a function in pieces where it expects a plain one"
    ),
    "tdsl/analysis/storage.py: removed_branch: "
    "if state.home(p, buffer).depth or state.execution(p.block).twice is not None: -> if False:": (
        "what is safe in one copy for all is safe in one for each; the rest is looked at in pairs"
    ),
    "tdsl/analysis/storage.py: removed_branch: "
    "if state.execution(p.block).twice is None: -> if False:": _FAST_PATH,
    "tdsl/analysis/storage.py: mixed_up_junction: "
    "state.home(p, buffer).depth or state.execution(p.block).twice is not None -> "
    "state.home(p, buffer).depth and state.execution(p.block).twice is not None": (
        "what is safe in one copy for all is safe in one for each; the rest is looked at in pairs"
    ),
    "tdsl/analysis/storage.py: removed_branch: "
    "if all((state.home(site, buffer).alloc is None for site in state.users(buffer))): -> "
    "if False:": _FAST_PATH,
    "tdsl/analysis/storage.py: swapped_arguments: state.met(p, w) -> state.met(w, p)": (
        "the number of common loops is the same both ways"
    ),
    "tdsl/analysis/digits.py: removed_branch: if extent.const < 1: -> if False:": (
        "a weight of 0 or less is no limit, unless there is nothing to run"
    ),
    "tdsl/scheduling/primitives/shifts.py: swapped_comparison: factor >= 0 -> factor > 0": (
        "no times either count is no delay"
    ),
    "tdsl/analysis/access.py: mixed_up_junction: "
    "block.reducer is not None and bool(block.sources) -> "
    "block.reducer is not None or bool(block.sources)": (
        "a reducer comes with one source for each write, and nothing else has sources"
    ),
    "tdsl/scheduling/primitives/paddings.py: removed_branch: if new.init is None: -> if False:": (
        "every reduction has an init"
    ),
}
