import random

import pytest

from tdsl.ir.expr import Const
from tdsl.ir.stmt import Tail
from tests.lower import algorithms
from tests.lower.nests import (
    PARALLEL,
    UNROLLED,
    VECTORIZED,
    cache_write,
    check_every_pass,
    find,
    mark,
    program_loops,
    split,
)

TAILS = (Tail.GUARD, Tail.MASK, Tail.SHIFT, Tail.PEEL)


def scheduled(rng: random.Random, program, block: str, reduced: set[str]):
    """Random splits and marks of one block's loops that keep their order."""
    for name in program_loops(program, block):
        if rng.random() < 0.7:
            loop = find(program, name, block)
            tails = TAILS if name not in reduced else TAILS[:2]
            if isinstance(loop.extent, Const):
                tails = (*tails, Tail.BALANCE)
            program = split(program, name, rng.choice([2, 3, 4]), rng.choice(tails), block)
    names = program_loops(program, block)
    inner = [n for n in names if isinstance(find(program, n, block).extent, Const)]
    free = [n for n in inner if not any(n.startswith(r) for r in reduced)]
    if free and rng.random() < 0.8:
        program = mark(program, free.pop(), rng.choice([UNROLLED, VECTORIZED]), block)
    for name in free:
        if rng.random() < 0.5 and name.endswith("i"):
            program = mark(program, name, UNROLLED, block)
    if rng.random() < 0.4 and not any(names[0].startswith(r) for r in reduced):
        program = mark(program, names[0], PARALLEL, block)
    return program


CASES = [
    ("matmul", "C", {"k"}, [(None, None, None), (5, None, 3), (7, 9, 4)]),
    ("relu_of_sum", "y", set(), [(None, None), (5, 11)]),
    ("blur", "y", set(), [(None,), (11,)]),
    ("triangular", "y", {"k"}, [(None,), (7,)]),
    ("best", "y", {"k"}, [(None, None), (4, 6)]),
    ("convolution", "y", {"r", "s"}, [(None, None), (5, 7)]),
    ("softmax", "e", {"k"}, [(None, None), (3, 7)]),
]


@pytest.mark.filterwarnings("ignore::tdsl.lower.LoweringWarning")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("name", "block", "reduced", "shapes"), CASES)
def test_every_pass_keeps_the_result_of_random_nests(name, block, reduced, shapes, seed):
    rng = random.Random(f"{name}{seed}")
    program = getattr(algorithms, name)(*rng.choice(shapes))
    program = scheduled(rng, program, block, reduced)
    for base in (0, 1, 4, 7):
        sizes = {v.name: base + k for k, v in enumerate(program.sizes)}
        check_every_pass(program, sizes)


@pytest.mark.filterwarnings("ignore::tdsl.lower.LoweringWarning")
@pytest.mark.parametrize("seed", range(12))
def test_every_pass_keeps_the_result_of_register_tiles(seed):
    rng = random.Random(seed)
    extents = rng.choice([(None, None, None), (7, 10, 3), (6, 8, 4), (None, 9, None)])
    program = algorithms.matmul(*extents)
    outer = [rng.choice(TAILS) for _ in range(2)]
    rows, columns = rng.choice([2, 3]), rng.choice([4, 8])
    if extents[0] is not None and rng.random() < 0.5:
        outer[0] = Tail.BALANCE
    program = split(program, "i", rows, outer[0])
    program = split(program, "j", columns, outer[1])
    from tests.lower.nests import reorder

    program = reorder(program, "io", "jo", "k", "ii", "ji")
    program = mark(mark(program, "ii", UNROLLED), "ji", VECTORIZED)
    program = cache_write(program, "C")
    if rng.random() < 0.5:
        program = mark(program, "io", PARALLEL)
    for base in (0, 1, 3, 8):
        sizes = {v.name: base + k for k, v in enumerate(program.sizes)}
        check_every_pass(program, sizes)
