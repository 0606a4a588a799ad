"""One row for each misuse of a schedule: what is said, and which call the caret is under."""

import linecache

import pytest

import tdsl as td
from tests.scheduling.algorithms import chain, cumsum, histogram, increment, matmul, softmax


def small():
    return td.Schedule(matmul(8, 8, 12, relu=True))


def symbolic():
    return td.Schedule(matmul("M", "N", "K"))


def scattered():
    return td.Schedule(histogram(64, 8))


def chained():
    return td.Schedule(chain(16, 1))


def sliding():
    s = td.Schedule(chain(16, 2))
    s.compute_at("C", at="D.i")
    s.store_at("C")
    return s


def vector():
    s = td.Schedule(increment(8))
    s.vectorize("i", 8)
    return s


def summed():
    return td.Schedule(cumsum(8))


def opencl():
    return td.Schedule(increment(64), "opencl")


# schedule, the misuse, what the message says, what the help says
MISUSES = [
    (small, lambda s: s.split("D.x", 4), "block 'D' has no loop 'x'", "'D.i'"),
    (small, lambda s: s.split("D.ii", 4), "block 'D' has no loop 'ii'", "did you mean 'D.i'"),
    (small, lambda s: s.split("q", 4), "there is no loop 'q'", "one of"),
    (small, lambda s: s.split("i", 4), "2 loops are called 'i'", "'C.i', 'D.i'"),
    (small, lambda s: s.split(3, 4), "expected a loop handle or name, got 3", ""),
    (small, lambda s: s.split(s.loops("D"), 4), "expected a loop handle", "i, j = s.loops"),
    (small, lambda s: s.split("D.i", 0), "expected a positive integer", ""),
    (small, lambda s: s.split("D.i", -4), "expected a positive integer", ""),
    (small, lambda s: s.split("D.i", 2.0), "expected a positive integer", ""),
    (small, lambda s: s.split("D.i", True), "expected a positive integer", ""),
    (small, lambda s: s.split("D.i", (4, 2)), "tuple of them with one None", "the one None"),
    (small, lambda s: s.split("D.i", (None, None)), "with one None", "the one None"),
    (small, lambda s: s.split("D.i"), "missing a required argument: 'inner'", "s.split(loop,"),
    (small, lambda s: s.split("D.i", 4, tial="mask"), "unexpected keyword", "did you mean 'tail'"),
    (small, lambda s: s.split("D.i", 4, tail="maks"), "expected one of guard", "'mask'"),
    (small, lambda s: s.split("D.i", 3, tail="exact"), "8 % 3 = 2", "tail='guard'"),
    (symbolic, lambda s: s.split("i", 4, tail="exact"), "not known to be a multiple", "assume="),
    (symbolic, lambda s: s.split("i", (4, None)), "the None must come first", "(None, 4)"),
    (symbolic, lambda s: s.split("i", 4, tail="balance"), "needs a constant extent", "guard"),
    (small, lambda s: s.split("D.i", (3, None), tail="shift"), "the None must come first", ""),
    (small, lambda s: s.split("D.i", (None, 3, 2), tail="balance"), "splits in two", ""),
    (small, lambda s: s.split("C.k", 5, tail="shift"), "cannot split", ""),
    (small, lambda s: s.split("D.i", 3, tail="pad"), "cannot split", ""),
    (small, lambda s: s.tile("D.i", "D.i", 2, 2), "both loops are 'i'", "two different loops"),
    (small, lambda s: s.tile("D.i", "C.j", 2, 2), "not all around one block", "s.loops(block)"),
    (small, lambda s: s.tile("D.i", "D.j", 2), "missing a required argument: 'tj'", ""),
    (small, lambda s: s.fuse("D.j", "D.i"), "'i' is around 'j'", "fuse('i', 'j')"),
    (small, lambda s: s.fuse("C.i", "C.k"), "not the only statement directly inside", "reorder"),
    (small, lambda s: s.reorder("C.i", "D.i"), "not all around one block", "s.loops(block)"),
    (small, lambda s: s.reorder("C.i", "C.i"), "'i' is given twice", "once"),
    (small, lambda s: s.reorder("C.i", 4), "expected a loop handle or name, got 4", ""),
    (symbolic, lambda s: s.unroll("i"), "not a constant", "split it"),
    (small, lambda s: s.parallel("C.k"), "cannot parallel", ""),
    (small, lambda s: s.vectorize("C.k", 4), "cannot vectorize", ""),
    (small, lambda s: s.vectorize("D.j", 0), "expected a positive integer or None", ""),
    (opencl, lambda s: s.bind("i", "gruop.x"), "expected one of group.x", "'group.x'"),
    (small, lambda s: s.compute_at("E", at="D.i"), "there is no block 'E'", "one of 'C', 'D'"),
    (small, lambda s: s.compute_at("C", at="C.i"), "a loop of 'C' itself", "its consumer"),
    (small, lambda s: s.compute_at("D", at="C.i"), "no block inside loop 'i' reads 'D'", "nothing"),
    (chained, lambda s: s.compute_at("B", at="D.i"), "no block inside loop 'i'", "consumers: C"),
    (scattered, lambda s: s.compute_at("hist", at="hist.r"), "cannot compute_at", ""),
    (chained, lambda s: s.reverse_compute_at("D", at="B.i"), "writes what 'D' reads", "reads C"),
    (small, lambda s: s.reverse_compute_at("D", at="C.k"), "cannot reverse_compute_at", ""),
    (small, lambda s: s.inline("C"), "'C' is a reduction", "compute_at"),
    (small, lambda s: s.inline("D"), "'D' is an output", "compute_at"),
    (scattered, lambda s: s.inline("hist"), "'hist' is an update", "compute_at"),
    (small, lambda s: s.cache_read("C", "D"), "does not read 'D'", "it reads A, B"),
    (small, lambda s: s.cache_read("C", "Q"), "there is no tensor 'Q'", "one of"),
    (small, lambda s: s.cache_read("C", "A", "sahred"), "expected one of global", "'shared'"),
    (small, lambda s: s.cache_read("C", "A", at="D.i"), "no block inside loop 'i'", "consumers: C"),
    (small, lambda s: s.cache_write("Q"), "there is no block 'Q'", "one of 'C', 'D'"),
    (small, lambda s: s.set_scope("D", "stack"), "lives where the caller keeps it", "cache_write"),
    (small, lambda s: s.transform_layout("C", "i -> i"), "2 dimensions, the map takes 1", ""),
    (small, lambda s: s.transform_layout("C", "i, j: i"), "is no index map", "i // 6"),
    (small, lambda s: s.transform_layout("C", "i, j -> q"), "'q' is not an index", "one of i, j"),
    (small, lambda s: s.transform_layout("C", "i, j -> i // j, j"), "positive constants", ""),
    (small, lambda s: s.transform_layout("C", "i, j -> i"), "share a place", "one-to-one"),
    (small, lambda s: s.transform_layout("A", "i, k -> k, i"), "row-major by", "prepacked"),
    (small, lambda s: s.transform_layout("C", "i, j -> j, i", pad=(1,)), "pad has 1 numbers", ""),
    (small, lambda s: s.rfactor("C.i"), "not a reduction loop of 'C'", "one of 'k'"),
    (small, lambda s: s.rfactor("D.i"), "'D' is not a reduction", "a loop of a reduction"),
    (small, lambda s: s.rfactor("C.k", 3), "axis 3 of a tensor of rank 3", "0 to 2"),
    (small, lambda s: s.decompose_reduction("D", "D.i"), "'D' is not a reduction", "init"),
    (small, lambda s: s.decompose_reduction("C", "D.i"), "not a loop of 'C'", "'i', 'j', 'k'"),
    (small, lambda s: s.unroll("C.init.j"), "follows the loops of 'C'", "decompose_reduction"),
    (small, lambda s: s.atomic("D"), "'D' does not combine values", "associative"),
    (small, lambda s: s.stream("C"), "'C' reads what it writes", "cache_write"),
    (small, lambda s: s.store_at("D"), "'D' is an argument or a result", "cache_read or cache"),
    (small, lambda s: s.store_at("C", at="D.i"), "block 'C' uses 'C' outside loop 'i'", "around"),
    (small, lambda s: s.store_at("C", at="D.x"), "block 'D' has no loop 'x'", "'D.i'"),
    (small, lambda s: s.hoist_storage("C"), "not stored inside a serial loop", "store_at"),
    (small, lambda s: s.hoist_storage("D"), "'D' is an argument or a result", "cache_read"),
    (small, lambda s: s.fold_storage("A", 2), "'A' is an argument or a result", "cache_read"),
    (small, lambda s: s.fold_storage("C"), "no loop stands between the storage of 'C'", "store_at"),
    (small, lambda s: s.fold_storage("C", 2, dim=2), "there is no dimension 2", "count from 0"),
    (small, lambda s: s.fold_storage("C", 2, dim=-1), "there is no dimension -1", "count from 0"),
    (small, lambda s: s.fold_storage("C", 0), "expected a positive integer or None", ""),
    (small, lambda s: s.fold_storage("C", 2, dim=0), "overwrites a value of C", "larger fold"),
    (sliding, lambda s: s.fold_storage("C", 2), "overwrites a value of C", "larger fold factor"),
    (small, lambda s: s.shift("D.i", 1, block="C"), "'C' is not inside loop 'i'", "one of 'D'"),
    (small, lambda s: s.shift("D.i", 1.5), "expected an integer", ""),
    (small, lambda s: s.skew("D.i", "D.j"), "'j' is not around 'i'", "skew('j', by='i')"),
    (small, lambda s: s.skew("D.i", "D.i"), "'i' is not around 'i'", ""),
    (small, lambda s: s.skew("D.j", "C.i"), "'i' is not around 'j'", ""),
    (vector, lambda s: s.shift("B.i", 1), "loop 'i' is vectorized", "shift first"),
    (vector, lambda s: s.skew("B.i", "B.i"), "loop 'i' is vectorized", "skew first"),
    (summed, lambda s: s.reverse("t"), "the order changes", "recurrence"),
    (small, lambda s: s.unroll_and_jam("D.i", 0), "expected a positive integer", ""),
    (small, lambda s: s.unroll_and_jam("D.i", 3, tail="exact"), "8 % 3 = 2", "tail='guard'"),
    (small, lambda s: s.compute_with("D", at="D.i"), "inside loop 'i' already", "another nest"),
    (small, lambda s: s.compute_with("D", at="C.k"), "'D' has 2 loops of its own", "further out"),
    (small, lambda s: s.reverse_inline("C"), "'C' is a reduction, whose", "inline"),
    (small, lambda s: s.reverse_inline("D"), "'C' is a reduction, not one", "compute_at"),
    (chained, lambda s: s.reverse_inline("B"), "reads 0 intermediate tensors (none)", "inline"),
    (chained, lambda s: s.compute_with("C", at="B.i"), "the order changes", "fission"),
    (chained, lambda s: s.reverse_inline("D"), "does not read 'C' at its own", "s.inline('C')"),
    (small, lambda s: s.specialize("M == 4"), "all sizes are known numbers", "td.sizes"),
    (symbolic, lambda s: s.specialize("Q == 4"), "names 'Q', which is no size", "M, K, N"),
    (symbolic, lambda s: s.specialize("M +"), "cannot read", ""),
    (symbolic, lambda s: s.specialize(True), "expected a comparison of sizes", ""),
    (small, lambda s: s.loops("Q"), "there is no block 'Q'", "one of 'C', 'D'"),
    (small, lambda s: s.parallel("D.i", unsafe=1), "expected True or False, got 1", ""),
]  # fmt: skip


def call_of(misuse):
    line = linecache.getline(__file__, misuse.__code__.co_firstlineno)
    return line.split("lambda s: ")[1].split('), "')[0] + ")"


@pytest.mark.parametrize(
    ("make", "misuse", "message", "hint"),
    MISUSES,
    ids=[f"{row[0].__name__}: {call_of(row[1])}" for row in MISUSES],
)
def test_misuse_is_explained_at_the_call(make, misuse, message, hint):
    s = make()
    before = s.program
    with pytest.raises(td.TdslError) as caught:
        misuse(s)
    error = caught.value
    assert message in error.message
    assert hint in (error.hint or "")
    assert isinstance(error, (ValueError, TypeError))
    assert error.span.file == __file__
    source = error.span.text
    start = source.index("lambda s: ") + len("lambda s: ")
    if "s.loops" not in source:
        assert error.span.column == start
        assert source[start : error.span.end_column].endswith(")")
    assert s.program is before
    if isinstance(error, td.ScheduleError):
        assert error.nest
        assert error.nest.splitlines()[0].strip() in str(error)


@pytest.mark.parametrize(
    ("misuse", "hint"),
    [
        (lambda s: s.vectorise("D.j"), "did you mean 'vectorize'"),
        (lambda s: s.paralell("D.i"), "did you mean 'parallel'?"),
        (lambda s: s.compute_inline("C"), "s.inline(block)"),
        (lambda s: s.loops_of("C"), "'loops'"),
        (lambda s: s.xyz("C"), "one of 'align', 'atomic'"),
    ],
)
def test_a_misspelt_primitive_is_answered_with_the_nearest(misuse, hint):
    with pytest.raises(td.TdslError, match="a schedule has no primitive") as caught:
        misuse(small())
    assert isinstance(caught.value, AttributeError)
    assert hint in caught.value.hint
    assert caught.value.span.text[: caught.value.span.end_column].endswith(
        caught.value.message.split("'")[1]
    )


def test_a_message_reads_in_the_order_what_where_why_state_help():
    s = td.Schedule(matmul(8, 8, 100))
    with pytest.raises(td.ScheduleError) as caught:
        s.split("k", 48, tail="exact")
    text = str(caught.value)
    parts = [
        "cannot split: the extent of 'k' is 100, and 100 % 48 = 4",
        '        s.split("k", 48, tail="exact")',
        "^" * len('s.split("k", 48, tail="exact")'),
        "loop nest before this step:",
        ">     for k in 100:  # reduction",
        "help: pass tail='guard' or a factor that divides the extent",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_a_refused_parallel_shows_two_iterations_and_the_element():
    s = td.Schedule(matmul(8, 8, 12))
    with pytest.raises(td.ScheduleError) as caught:
        s.parallel("k")
    witness = caught.value.witness
    assert witness.buffer == "C"
    assert witness.first != witness.second
    assert f"C[{', '.join(map(str, witness.element))}]" in str(caught.value)


def test_a_fold_that_is_too_small_shows_the_element_that_is_lost():
    s = sliding()
    with pytest.raises(td.ScheduleError) as caught:
        s.fold_storage("C", 2)
    witness = caught.value.witness
    assert witness.buffer == "C"
    s.fold_storage("C", 3)
    with pytest.raises(td.ScheduleError, match="folded already"):
        s.fold_storage("C", 4)


def test_the_probe_table_is_refused():
    n = 64
    a = td.placeholder((n,), "float32", name="A")
    b = td.compute((n,), lambda i: a[i] + 1, name="B")
    c = td.compute((n - 2,), lambda i: b[i] + b[i + 2], name="C")
    s = td.Schedule(td.func("probe", [a], [c]))
    with pytest.raises(td.ScheduleError):
        s.reverse_compute_at("C", at="B.i")
    s = td.Schedule(cumsum(16))
    with pytest.raises(td.ScheduleError):
        s.parallel(s.loops(s.blocks()[0])[0])
    s = td.Schedule(softmax())
    with pytest.raises(td.ScheduleError):
        s.reverse_compute_at("out", at="E.j")
