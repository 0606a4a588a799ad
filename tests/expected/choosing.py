"""Which refused steps are kept: few of many drawn, so that each line that refuses is seen twice."""

from __future__ import annotations

import inspect
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import tdsl as td
from tdsl.fuzzing.draw import RandomDraw
from tdsl.fuzzing.makers import random_step
from tdsl.fuzzing.step import Step, view
from tdsl.fuzzing.walk import grows_too_much
from tdsl.schedules import workloads
from tests.expected.refusals import FOLDER, REFUSED, answered, header_of, opened, take
from tests.expected.wild import wild_step
from tests.expected.wording import Key, keys_of
from tests.fuzz.named import CORPUS

_EXTENTS = (1, 3, 8, 9, 17)
_TRIES = 45
_MOST_STEPS = 9
_WILD = 0.5
_DEVICE = 0.12


@dataclass
class Case:
    """A random schedule with the steps that it was refused on the way."""

    name: str
    header: str
    lines: list[tuple[str, frozenset[Key]]] = field(default_factory=list)  # no keys: accepted
    seconds: float = 0.0

    def reasons(self) -> set[Key]:
        """Of all refused steps."""
        return {key for _, keys in self.lines for key in keys}

    def pruned(self, wanted: set[Key]) -> list[str]:
        """The case with refused steps for all wanted keys, and nothing after the last of them."""
        left, kept = set(wanted), set[str]()
        for line, keys in sorted(self.lines, key=lambda x: -len(x[1] & wanted)):
            if keys & left:
                kept.add(line)
                left -= keys
        lines = [line for line, keys in self.lines if not keys or line in kept]
        while lines and not lines[-1].startswith(REFUSED):
            lines.pop()
        return [self.header, *lines]


def draw_case(name: str, seed: int) -> Case | None:
    """A random schedule of an algorithm (`operator.` of the library); None: bad extents."""
    draw = RandomDraw(f"{name}/{seed}")
    target = "opencl" if draw.chance(_DEVICE) else "llvm -mcpu=znver5"
    case = Case(name, header_of(f"{name} {_extents(name, draw)}", target))
    start = time.process_time()
    try:
        schedule = opened(case.header)
    except td.TdslError:
        return None
    for _ in range(_TRIES):
        is_wild = draw.chance(_WILD)
        step = wild_step(view(draw, schedule)) if is_wild else random_step(draw, schedule)
        if step is None or grows_too_much(schedule, step):
            continue
        _try(case, schedule, step)
        if len(schedule.trace) >= _MOST_STEPS:
            break
    case.seconds = time.process_time() - start
    return case


def _extents(name: str, draw: RandomDraw) -> str:
    library, _, operator = name.partition(".")
    is_operator = library == "operator"
    function = getattr(workloads, operator) if is_operator else CORPUS[name]
    # operators take numbers; some algorithms assume something of their sizes, which are symbolic
    share = 0.0 if is_operator else 1.0 if "assume=" in inspect.getsource(function) else 0.2
    parameters = inspect.signature(function).parameters
    given = [(p, p if draw.chance(share) else draw.choice(_EXTENTS)) for p in parameters]
    return " ".join(f"{p}={extent}" for p, extent in given)


def _try(case: Case, schedule: td.Schedule, step: Step) -> None:
    line = step.source().removeprefix("combinators.")
    try:
        take(schedule, line)
    except td.TdslError as error:
        case.lines.append((f"{REFUSED}{line}", keys_of(error, step.primitive)))
    else:
        case.lines.append((line, frozenset()))


def wanted_of(key: Key) -> int:
    """In how many algorithms it is kept: steps and lines that refuse in two, a wording in one."""
    return 1 if key[-1] else 2


def chosen(cases: list[Case]) -> Iterator[tuple[Case, set[Key]]]:
    """Cases and the keys that each is kept for, by what they add for their time."""
    seen: dict[Key, set[str]] = defaultdict(set)
    left = list(cases)

    def added(case: Case) -> set[Key]:
        new = (key for key in case.reasons() if case.name not in seen[key])
        return {key for key in new if len(seen[key]) < wanted_of(key)}

    while left:
        best = max(left, key=lambda case: len(added(case)) / (0.1 + case.seconds))
        wanted = added(best)
        if not wanted:
            return
        for key in wanted:
            seen[key].add(best.name)
        yield best, wanted
        left.remove(best)


def write(kept: Iterable[tuple[Case, set[Key]]]) -> Counter[str]:
    """Write the files anew; how many refusals there are of each algorithm."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    texts: dict[str, list[str]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for case, keys in kept:
        lines = case.pruned(keys)
        texts[case.name] += [*answered(lines), ""]
        counts[case.name] += sum(line.startswith(REFUSED) for line in lines)
    for name, lines in texts.items():
        (FOLDER / f"{name}.txt").write_text("\n".join(lines))
    return counts


def algorithm_names() -> list[str]:
    """The corpus and the operator library."""
    operators = [n for n, f in vars(workloads).items() if inspect.isfunction(f) and n[0] != "_"]
    fitting = [n for n in operators if inspect.signature(getattr(workloads, n)).return_annotation]
    return [*CORPUS, *(f"operator.{n}" for n in fitting if n != "size_names")]
