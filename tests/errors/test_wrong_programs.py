"""Wrong programs as newcomers write them: what is said, under which words, and what would help."""

from __future__ import annotations

import numpy as np
import pytest

import tdsl as td

M, N = td.sizes("M N")
A = td.placeholder((M, N), "float32", name="A")
B = td.compute((M, N), lambda i, j: A[i, j] + 1.0, name="B")
increment = td.func("increment", [A], [B])
k = td.reduce_axis(N, name="k")


def element(body):
    return lambda: td.compute((M,), body, name="C")


# the program, what the caret is under, what the message says, what the help says
PROGRAMS = [
    # tensors are no arrays
    (lambda: A * 2, "A * 2", "A is a whole tensor", "A[i, j]"),
    (lambda: 2.0 - A, "2.0 - A", "A is a whole tensor", "A[i, j]"),
    (lambda: A + B, "A + B", "A is a whole tensor", "A[i, j]"),
    (lambda: -A, "-A", "A is a whole tensor", "A[i, j]"),
    (lambda: np.ones(3) * A, "np.ones(3) * A", "A is a whole tensor", "A[i, j]"),
    (lambda: td.exp(A), "td.exp(A)", "A is a whole tensor", "A[i, j]"),
    (lambda: A @ B, "A @ B", "no '@' of tensors (A and <tensor B: float32[M, N]>)", "td.einsum"),
    (lambda: np.exp(A), "np.exp(A)", "numpy's exp does not take tdsl values", "td.exp"),
    (lambda: A.sum(axis=0), "A.sum", "tensor A has no attribute 'sum'", "td.sum(A[i, k]"),
    (lambda: A.T, "A.T", "tensor A has no attribute 'T'", "A[j, i]"),
    (lambda: A.reshape(-1), "A.reshape", "no attribute 'reshape'", "td.reshape(A"),
    (element(lambda i: A[i, :]), "A[i, :]", "A cannot be sliced", "td.compute over the part"),
    (element(lambda i: sum(A[i])), "A[i]", "A has 2 dimensions but got 1 indices", ""),
    # sizes are no numbers
    (lambda: range(N), "range(N)", "N is no number at declaration time", "td.reduce_axis(N"),
    (lambda: int(N), "int(N)", "N is no number at declaration time", "td.reduce_axis(N"),
    (lambda: td.sizes(3), "td.sizes(3)", "td.sizes takes names, got 3", 'td.sizes("M N")'),
    (
        lambda: td.placeholder("M"),
        'td.placeholder("M")',
        "extent 0 of the shape is 'M'",
        "td.sizes",
    ),
    (
        lambda: td.placeholder((3, 2.5)),
        "td.placeholder((3, 2.5))",
        "extent 1 of the shape is 2.5",
        "",
    ),
    (lambda: td.placeholder(None), "td.placeholder(None)", "extent 0 of the shape is None", "ints"),
    (
        lambda: td.placeholder((4,), name=3),
        "td.placeholder((4,), name=3)",
        "named by a string, got 3",
        "",
    ),
    (lambda: td.reduce_axis(-1), "td.reduce_axis(-1)", "the extent of the axis is -1", ""),
    (lambda: td.reduce_axis(A), "td.reduce_axis(A)", "extent of the axis is <tensor A", "ints"),
    # declarations
    (
        lambda: td.compute((M,), A),
        "td.compute((M,), A)",
        "takes a function of the indices",
        "lambda",
    ),
    (
        lambda: td.compute((M, N), lambda i: A[i, 0]),
        "td.compute((M, N), lambda i: A[i, 0])",
        "takes 1 indices but the shape has 2",
        "lambda i, i1: ...",
    ),
    (
        lambda: td.func("f", [A]),
        'td.func("f", [A])',
        "func() missing 1 required positional argument: 'outputs'",
        "func(name, inputs, outputs, assume=(), fp_contract=True)",
    ),
    (
        lambda: td.compute((M,), len, nmae="x"),
        'td.compute((M,), len, nmae="x")',
        "unexpected keyword argument 'nmae'",
        "did you mean 'name'? the call is compute(shape, fn",
    ),
    (
        lambda: td.func("f", [np.ones(3)], [B]),
        'td.func("f", [np.ones(3)], [B])',
        "inputs= of f are tensors, got ndarray",
        "arrays are passed when it is called",
    ),
    (
        lambda: td.func("f", [A], 3),
        'td.func("f", [A], 3)',
        "outputs= of f are tensors, got int",
        "",
    ),
    (
        lambda: td.func("f", [B], [B]),
        'td.func("f", [B], [B])',
        "input B is no placeholder",
        "found",
    ),
    (
        lambda: td.func("f", [A], [B], "M < N"),
        'td.func("f", [A], [B], "M < N")',
        "assume= is a list of facts",
        "assume=['M < N']",
    ),
    (
        lambda: td.func("f", [A], [B], [3]),
        'td.func("f", [A], [B], [3])',
        "takes comparisons of sizes, got 3",
        "M % 16 == 0",
    ),
    (
        lambda: td.func("f", [A], [B], ["M %"]),
        'td.func("f", [A], [B], ["M %"])',
        "cannot read the assumption 'M %'",
        "M % 16 == 0",
    ),
    (
        lambda: td.update(A, over=3, at=(0, 0), value=1.0),
        "td.update(A, over=3, at=(0, 0), value=1.0)",
        "over= takes one reduction axis or a tuple of them, got 3",
        "td.reduce_axis",
    ),
    # schedules, targets, files
    (
        lambda: td.Schedule(target=None),
        "td.Schedule(target=None)",
        "missing 1 required positional argument: 'func'",
        "td.Schedule(func, target=None)",
    ),
    (
        lambda: td.Schedule(increment, 3),
        "td.Schedule(increment, 3)",
        "a target is a string",
        "llvm",
    ),
    (
        lambda: td.Schedule(increment, targte=""),
        'td.Schedule(increment, targte="")',
        "unexpected keyword argument 'targte'",
        "did you mean 'target'?",
    ),
    (
        lambda: td.Schedule(increment).loops(),
        "td.Schedule(increment).loops()",
        "loops() missing 1 required positional argument: 'block'",
        "loops(block)",
    ),
    (
        lambda: td.build(increment, shedule="x"),
        'td.build(increment, shedule="x")',
        "unexpected keyword argument 'shedule'",
        "did you mean 'schedule'?",
    ),
    (
        lambda: td.Schedule(increment).save(3),
        "td.Schedule(increment).save(3)",
        "a schedule is saved to a path, got 3",
        "",
    ),
    (
        lambda: td.load_schedule(increment, "x"),
        'td.load_schedule(increment, "x")',
        "got <func increment(A)> and 'x'",
        "td.load_schedule(path, func)",
    ),
]


@pytest.mark.parametrize(("program", "marked", "words", "hint"), PROGRAMS)
def test_what_is_said(program, marked, words, hint) -> None:
    with pytest.raises(td.TdslError) as caught:
        program()
    error = caught.value
    assert words in error.message
    assert hint in (error.hint or "")
    assert isinstance(error, (TypeError, ValueError, AttributeError))
    assert error.span.file == __file__
    assert error.span.text[error.span.column : error.span.end_column] == marked


def test_what_goes_wrong_inside_is_not_taken_for_a_wrong_call() -> None:
    with pytest.raises(TypeError, match="NoneType") as caught:
        td.compute((M,), lambda i: None + i, name="C")
    assert "the call is" not in str(caught.value)


def test_scalars_are_computed_with_like_values() -> None:
    alpha = td.placeholder((), "float32", name="alpha")
    x = td.placeholder((3,), "float32", name="x")
    y = td.compute((3,), lambda i: alpha * 2.0 + alpha * x[i] - 1.0 / alpha, name="y")
    got = td.reference(td.func("f", [alpha, x], [y]))(np.float32(2), np.ones(3, np.float32))
    np.testing.assert_array_equal(got, [5.5] * 3)


def test_a_file_is_shown_as_it_is_now(tmp_path) -> None:
    path = tmp_path / "s.tdsl"
    s = td.Schedule(increment)
    s.parallel("i")
    s.save(path)
    text = path.read_text()
    for wrong in ("paralel", "paralell"):
        path.write_text(text.replace("parallel", wrong))
        with pytest.raises(td.FormatError) as caught:
            td.load_schedule(path, increment)
        assert caught.value.span.text == f's.{wrong}("B.i")'


def test_a_file_that_cannot_be_written_names_the_folder(tmp_path) -> None:
    with pytest.raises(
        td.FormatError, match=r"cannot write .*none/s\.tdsl: No such file"
    ) as caught:
        td.Schedule(increment).save(tmp_path / "none" / "s.tdsl")
    assert caught.value.hint == f"make the directory first: {tmp_path / 'none'}"
