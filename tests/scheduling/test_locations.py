"""Where algorithms are found, and how a file says so."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

import tdsl as td
from tdsl.errors import FormatError, Span
from tdsl.scheduling.locations import Location, find_algorithm, location_of, parse_location
from tests.scheduling.algorithms import increment

SPAN = Span("f.tdsl", 3, 1, 9)
ALGORITHMS = """\
import tdsl as td


def made(n, name="increment"):
    a = td.placeholder((n,), "float32", name="A")
    return td.func(name, [a], [td.compute((n,), lambda i: a[i] + 1, name="B")])


small = made(4, "tiny")
scheduled = td.Schedule(small)
number = 5


def increment(M=8):
    return made(M)


def two(M, N):
    return made(M + N)


def nothing():
    return 7


def one_line(): return td.func("on_a_line", *parts())


def parts():
    a = td.placeholder((3,), "float32", name="A")
    return [a], [td.compute((3,), lambda i: a[i] * 2, name="B")]


def _private():
    return made(3, "nested")


def nested():
    return _private()
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "algorithms.py"
    path.write_text(ALGORITHMS)
    return path


@pytest.fixture
def loaded(file, monkeypatch):
    """The file as a module that something has imported."""
    module = ModuleType("loaded_algorithms")
    module.__file__ = str(file)
    exec(compile(ALGORITHMS, str(file), "exec"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def extent(func):
    return int(func.outputs[0].shape[0])


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("matmul", Location("matmul")),
        (" f.py:g ", Location("g", file=Path("/there/f.py"))),
        ("../f.py:g(M=4, N = 5)", Location("g", Path("/f.py"), sizes=(("M", 4), ("N", 5)))),
        ("tdsl.schedules:g()", Location("g", module="tdsl.schedules")),
        ("tdsl.schedules.gemm:g(M=4)", Location("g", None, "tdsl.schedules.gemm", (("M", 4),))),
    ],
)
def test_a_place_is_a_name_in_a_file_or_in_the_library(text, location):
    assert parse_location(text, Path("/there")) == location


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("f.py:", "'f.py:' does not say where the algorithm is"),
        ("f.py:g(h(M=4))", "does not say where"),
        ("numpy:matmul", "'numpy' is no Python file and no library module"),
        ("tdsl.schedulesque:matmul", "'tdsl.schedulesque' is no Python file and no library module"),
        ("f.py:g(M=x)", "'M=x' is no size such as M=512"),
        ("f.py:g(4=4)", "'4=4' is no size such as M=512"),
        ("f.py:g(M)", "'M' is no size such as M=512"),
        ("f.py:g(M=-4)", "'M=-4' is no size such as M=512"),
    ],
)
def test_other_forms_are_refused_at_their_line(text, reason):
    with pytest.raises(FormatError, match=reason.replace(".", r"\.")) as caught:
        parse_location(text, Path(), SPAN)
    assert caught.value.span == SPAN


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (Location("g"), "g"),
        (Location("g", sizes=(("M", 4),)), "g(M=4)"),
        (Location("g", file=Path("/there/sub/f.py")), "sub/f.py:g"),
        (Location("g", file=Path("/f.py"), sizes=(("M", 4), ("N", 5))), "../f.py:g(M=4, N=5)"),
        (Location("g", module="tdsl.schedules.gemm"), "tdsl.schedules.gemm:g"),
    ],
)
def test_places_are_written_as_they_are_read(location, text):
    assert location.text(Path("/there")) == text
    assert parse_location(text, Path("/there")) == location


@pytest.mark.parametrize(
    ("name", "sizes", "found"),
    [
        ("small", (), 4),
        ("scheduled", (), 4),
        ("increment", (), 8),
        ("increment", (("M", 5),), 5),
        ("two", (("M", 2), ("N", 9)), 11),
        ("nested", (), 3),
    ],
)
def test_a_name_is_an_algorithm_a_schedule_or_a_function_of_sizes(file, name, sizes, found):
    assert extent(find_algorithm(Location(name, file=file, sizes=sizes))) == found


def test_a_library_operator_is_found_by_its_module():
    func = find_algorithm(parse_location("tdsl.schedules.workloads:matmul(M=4,N=5,K=6)", Path()))
    assert [int(e) for e in func.outputs[0].shape] == [4, 5]


@pytest.mark.parametrize("module", ["tdsl.schedules.workload", "tdsl.schedules.workload.matmul"])
def test_a_library_module_that_there_is_not_is_named_with_one_that_there_is(module):
    with pytest.raises(FormatError, match=f"there is no library module '{module}'") as caught:
        find_algorithm(parse_location(f"{module}:matmul(M=4)", Path()), SPAN)
    assert caught.value.span == SPAN
    assert "tdsl.schedules.workloads" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "sizes", "reason"),
    [
        ("smal", (), "algorithms.py defines no 'smal'"),
        ("number", (), "'number' in algorithms.py is int, not an algorithm"),
        ("nothing", (), "'nothing' in algorithms.py is int, not an algorithm"),
        ("td", (), "'td' in algorithms.py is module, not an algorithm"),
        ("two", (("M", 2),), r"two\(M=2\): missing a required argument: 'N'"),
        ("two", (("M", 2), ("K", 3)), r"two\(M=2, K=3\): "),
    ],
)
def test_other_names_are_refused(file, name, sizes, reason):
    with pytest.raises(FormatError, match=reason) as caught:
        find_algorithm(Location(name, file=file, sizes=sizes), SPAN)
    assert caught.value.span == SPAN


def test_what_could_have_been_meant_is_what_the_file_makes_itself(file):
    file.write_text(ALGORITHMS + "from tests.scheduling.algorithms import softmax\n")
    with pytest.raises(FormatError) as caught:
        find_algorithm(Location("smal", file=file))
    assert "small" in caught.value.hint
    with pytest.raises(FormatError) as caught:
        find_algorithm(Location("_privat", file=file))
    assert "_private" not in (caught.value.hint or "")
    with pytest.raises(FormatError) as caught:
        find_algorithm(Location("numbe", file=file))
    assert "number" not in (caught.value.hint or "")
    with pytest.raises(FormatError) as caught:
        find_algorithm(Location("softma", file=file))
    assert "softmax" not in (caught.value.hint or "")


def test_without_a_file_nothing_is_found(tmp_path):
    with pytest.raises(FormatError, match="nothing says in which file 'g' is"):
        find_algorithm(Location("g"))
    with pytest.raises(FormatError, match="there is no file"):
        find_algorithm(Location("g", file=tmp_path / "f.py"))
    notes = tmp_path / "notes.txt"
    notes.write_text("g = 1")
    with pytest.raises(FormatError, match=r"notes\.txt is no Python file"):
        find_algorithm(Location("g", file=notes))


def test_a_module_that_is_loaded_is_not_run_again(loaded, file):
    assert find_algorithm(Location("small", file=file)) is loaded.small


def test_a_name_that_another_module_has_is_looked_up_in_the_file(file):
    assert increment(100).name == "increment"  # that module has the name, too
    assert extent(find_algorithm(Location("increment", file=file))) == 8


def test_a_file_imports_its_neighbours_first_and_leaves_the_path_as_it_was(tmp_path, monkeypatch):
    for folder, size in (("elsewhere", 5), ("here", 6)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "neighbour_of_an_algorithm.py").write_text(f"SIZE = {size}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    monkeypatch.delitem(sys.modules, "neighbour_of_an_algorithm", raising=False)
    file = tmp_path / "here" / "f.py"
    file.write_text(f"from neighbour_of_an_algorithm import SIZE\n{ALGORITHMS}\ng = made(SIZE)\n")
    before = list(sys.path)
    try:
        assert extent(find_algorithm(Location("g", file=file))) == 6
    finally:
        sys.modules.pop("neighbour_of_an_algorithm", None)
    assert sys.path == before
    file.write_text("raise ValueError('on purpose')\n")
    with pytest.raises(ValueError, match="on purpose"):
        find_algorithm(Location("g", file=file))
    assert sys.path == before


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (lambda m: m.small, "small"),  # the variable that holds it
        (lambda m: m.increment(), "increment"),  # the function of its name
        (lambda m: m.one_line(), "one_line"),  # the function that declares it
        (lambda m: m.made(3, "other"), "made"),
        (lambda m: m.nested(), "nested"),  # though made() declares it
    ],
    ids=["variable", "named", "one line", "declared", "called"],
)
def test_an_algorithm_is_found_again_by_the_name_that_makes_it(loaded, file, value, name):
    assert location_of(value(loaded)) == Location(name, file=file)


def test_what_no_file_declares_has_its_name_alone(tmp_path):
    scope = {}
    exec(compile(ALGORITHMS, "<typed in>", "exec"), scope)
    assert location_of(scope["small"]) == Location("tiny")
    gone = tmp_path / "gone.py"
    exec(compile(ALGORITHMS, str(gone), "exec"), scope)
    assert location_of(scope["small"]) == Location("tiny", file=gone)
    assert location_of(td.Func.of_program(scope["small"].program)) == Location("tiny")
