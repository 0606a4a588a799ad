"""Dependences, executions and runs against the events of plain runs at small sizes.

The oracle runs a program instance by instance and notes what each one touches; the prover's
relations must hold those pairs and no others.
"""

import random
from collections import Counter, defaultdict
from itertools import combinations

import pytest

import tdsl as td
from tdsl.analysis import Refused
from tdsl.analysis.dependences import Hazard, dependences
from tdsl.analysis.state import Memo, State
from tdsl.ir.frames import isl
from tdsl.ir.visit import leaves
from tests.analysis.nests import schedule
from tests.analysis.oracle import Machine
from tests.analysis.random_nests import random_algorithm, random_schedule

SEEDS = range(60)
MORE_SEEDS = range(60, 220)


def points(found, sizes):
    """The points of an isl set at given sizes."""
    kinds = isl().dim_type
    for n in range(found.dim(kinds.param)):
        found = found.fix_val(kinds.param, n, sizes[n])
    found = found.project_out(kinds.param, 0, found.dim(kinds.param))
    width, rows = found.dim(kinds.set), set()

    def take(point):
        rows.add(tuple(int(str(point.get_coordinate_val(kinds.set, n))) for n in range(width)))

    found.foreach_point(take)
    return rows


def pairs(found, sizes):
    """The pairs of an isl map at given sizes."""
    split = found.dim(isl().dim_type.in_)
    return {(row[:split], row[split:]) for row in points(found.wrap().flatten(), sizes)}


def later_pairs(program, sizes):
    """By source, target, buffer and hazard: the instances that share an element, in order."""
    machine = Machine(program, dict(zip((v.name for v in program.sizes), sizes, strict=True)))
    users = defaultdict(list)
    for time, event in enumerate(machine.ran()):
        for buffer, copy, _, is_write, element in event.touched:
            users[buffer, copy, element].append((time, event, is_write))
    found = defaultdict(set)
    for (buffer, _, _), touches in users.items():
        for (t, a, wrote), (u, b, writes) in combinations(touches, 2):
            if t != u and (wrote or writes):
                kind = Hazard.WAW if wrote and writes else Hazard.RAW if wrote else Hazard.WAR
                key = a.block.name, b.block.name, buffer, kind
                found[key].add((a.instance, b.instance))
    return dict(found)


def proven_pairs(deps, sizes):
    found = defaultdict(set)
    for dep in deps.all:
        for hazard in dep.hazards:
            key = dep.source.name, dep.target.name, dep.buffer.name, hazard
            found[key] |= pairs(dep.relation, sizes)
    return {key: held for key, held in found.items() if held}


def check_dependences(program, sizes):
    deps = dependences(program)
    assert proven_pairs(deps, sizes) == later_pairs(program, sizes)
    for dep in deps.all:
        updates = {x.own and x == y and dep.source is dep.target for x, y in dep.pairs}
        assert updates == {dep.own}


def case(seed):
    rng = random.Random(seed)
    symbolic = rng.random() < 0.4
    algorithm = random_algorithm(rng, symbolic=symbolic)
    return algorithm, random_schedule(rng, algorithm), [(1,), (3,)] if symbolic else [()]


@pytest.mark.parametrize("seed", SEEDS)
def test_dependences_are_the_pairs_that_share_an_element_in_order(seed):
    algorithm, _, sizes = case(seed)
    for given in sizes:
        check_dependences(algorithm, given)


def in_place(n=4):
    """What is read from a tensor that changes in place, on one side of a condition each."""
    x = td.inout(td.placeholder((n + 2, n), "float32", name="X"))
    i, j = td.reduce_axis(n, name="i"), td.reduce_axis(n, name="j")
    u = td.update(
        x, over=(i, j), at=(i + 1, j), op="set", name="U",
        value=lambda cur: td.select(j < i, cur[i, j], td.select(j > i, cur[i + 2, j], 0.0)),
    )  # fmt: skip
    return td.func("f", [x], [u]).program


def greatest(n=3):
    """A place and a value that are written together."""
    x = td.placeholder((n, 4), "float32", name="X")
    k = td.reduce_axis(4, name="k")
    y = td.compute((n,), lambda i: td.argmax(x[i, k], axis=k), name="Y")
    z = td.compute((n,), lambda i: y[i] + y[n - 1 - i], name="Z")
    return td.func("f", [x], [z]).program


def steps_of_a_scan():
    """Temporaries that each step has a copy of."""
    x = td.placeholder((3, 4), "float32", name="X")
    t = td.scan_axis(3, name="t")

    def step(t, prev):
        g = td.compute((4,), lambda i: x[t, i] * prev["h"][i], name="g")
        f = td.compute((4,), lambda i: g[i] + g[3 - i], name="f")
        return {"h": lambda i: f[i] + prev["h"][3 - i]}

    out = td.scan(t, {"h": ((4,), 0.0)}, step, name="s")
    return td.func("f", [x], [out["h"]]).program


def turned(text):
    """Three blocks in loops that are no canonical order."""
    x = td.placeholder((6,), "float32", name="X")
    a = td.compute((6,), lambda i: x[i] + 1.0, name="A")
    b = td.compute((6,), lambda i: a[5 - i], name="B")
    c = td.compute((6,), lambda i: a[i] + b[i], name="C")
    return schedule(td.func("f", [x], [c]).program, text)


CURATED = {
    "in place": in_place,
    "greatest": greatest,
    "steps of a scan": steps_of_a_scan,
    "turned": lambda: turned("i in 6:\n  A(5-i)\n  B(i)\nj in 6:\n  C(j)\n"),
    "tiles": lambda: turned(
        "o in 2:\n  i in 3:\n    A(o*3+i)\n  i in 3:\n    B(i*2+o)\n    C(i*2+1-o)\n"
    ),
    "a spare loop": lambda: turned(
        "u in 1:\n  i in 6:\n    A(i)\nu in 1:\n  i in 6:\n    B(i)\ni in 6:\n  C(i)\n"
    ),
    "guarded": lambda: turned("i in 7:\n  A(i) if i < 6\n  B(i-1) if i >= 1\n  C(6-i) if i >= 1\n"),
    "diagonal": lambda: turned(
        "i in 11:\n  j in 6:\n    A(j) if i-j <= 0, i-j >= 0\n    B(i-j) if "
        "i-j >= 0, i-j < 6, j <= 0\nk in 6:\n  C(k)\n"
    ),
}


@pytest.mark.parametrize("name", CURATED)
def test_dependences_of_known_algorithms(name):
    check_dependences(CURATED[name](), ())


@pytest.mark.parametrize("start", MORE_SEEDS[::20])
def test_dependences_of_programs_whose_bindings_are_no_loops(start):
    checked = 0
    for seed in range(start, start + 20):
        algorithm, program, sizes = case(seed)
        try:
            deps = dependences(program)
        except Refused:
            continue
        for given in sizes:
            if runs_each_instance_once(algorithm, program, given):
                assert proven_pairs(deps, given) == later_pairs(program, given)
                checked += 1
    assert checked >= 5


def runs_each_instance_once(algorithm, program, sizes):
    """Whether one leaf for each block runs what the algorithm runs."""
    named = dict(zip((v.name for v in program.sizes), sizes, strict=True))
    one, two = (
        Counter((id(e.block), e.instance) for e in Machine(p, named).ran())
        for p in (algorithm, program)
    )
    blocks = [leaf.block for leaf in leaves(program.body)]
    return one == two and len(set(map(id, blocks))) == len(blocks)


class Leaves:
    """The leaves of a program, run by plain counting at some sizes."""

    def __init__(self, program, sizes):
        named = dict(zip((v.name for v in program.sizes), sizes, strict=True))
        self.machine = Machine(program, named, scrambled=False)
        self.env = self.machine.sizes

    def runs(self, site):
        """Time to (instance, whether `where` holds, whether it is in the domain)."""
        found, block = {}, site.block

        def visit(levels, time, env):
            if levels:
                for n in range(self.machine.value(levels[0].extent, env)):
                    visit(levels[1:], (*time, n), env | {levels[0].var: n})
            elif all(self.machine.value(g.cond, env) for g in site.leaf.guards):
                instance = tuple(self.machine.value(b, env) for b in site.leaf.bindings)
                at = self.env | dict(zip(block.vars, instance, strict=True))
                holds = block.where is None or bool(self.machine.value(block.where, at))
                found[time] = instance, holds, self.inside(block, instance)

        visit(site.levels, (), dict(self.env))
        return found

    def inside(self, block, instance):
        extents = [self.machine.value(it.extent, self.env) for it in block.iters]
        return all(0 <= v < n for v, n in zip(instance, extents, strict=True))


def check_run(run, wanted, sizes):
    """A run against all times, each with what runs then."""
    depth = run.depth
    assert {row[:depth] for row in points(run.raw, sizes)} == set(wanted)
    kept = {t: x for t, (x, holds, inside) in wanted.items() if holds and inside}
    assert {(t[:depth], x) for t, x in pairs(run.instances(), sizes)} == set(kept.items())
    if run.inside:
        assert all(inside for _, holds, inside in wanted.values() if holds)
    elif not sizes:
        assert not all(inside for _, holds, inside in wanted.values() if holds)
    return kept


@pytest.mark.parametrize("seed", SEEDS)
def test_executions_are_what_runs(seed):
    algorithm, program, sizes = case(seed)
    state = State.of(dependences(algorithm), program, Memo())
    for given in sizes:
        counted = Leaves(program, given)
        for block in {id(s.block): s.block for s in state.sites}.values():
            kept = [check_run(state.run(s), counted.runs(s), given) for s in state.places(block)]
            check_execution(state.execution(block), kept, state.deps.models.instances(block), given)


def check_execution(found, kept, space, sizes):
    """How often instances run, by what each leaf runs at each time."""
    ran = Counter(x for moments in kept for x in moments.values())
    missing = points(space.dom, sizes) - set(ran)
    assert (set() if found.missing is None else points(found.missing, sizes)) == missing
    if found.twice is None:
        assert all(count == 1 for count in ran.values())
        return
    one, two, times = found.twice
    repeated = [(kept[one][a], kept[two][b], a, b) for a, b in sliced(times, kept, one, two, sizes)]
    assert all(x == y and (one, a) != (two, b) for x, y, a, b in repeated)
    assert repeated or sizes


def sliced(times, kept, one, two, sizes):
    a, b = (len(next(iter(kept[n]), ())) for n in (one, two))
    return {(x[:a], y[:b]) for x, y in pairs(times, sizes)}
