"""One fuzzed case: an algorithm, a random schedule of it, and everything that is checked.

Each case checks, at the algorithm's own sizes and, where these are symbolic, at up to seven more:

- the unscheduled program in the interpreter against numpy;
- that a refused step leaves the schedule as it was, and what its witness claims; brute force judges
  a share of the refusals (`--judged`);
- the scheduled program in the interpreter against the unscheduled one, for two or three sets of
  data, in the canonical order and four hostile ones, watching for iterations that conflict and for
  instances that write another value when they run again. A program without concurrent loops has
  one order only, and is run in it;
- whose values each instance reads, at its own sizes (`flows`);
- that the texts of the program, and the trace as JSON and as Python, give the schedule again;
- the lowered program in the interpreter in three orders (with the first pass that is wrong), and
  the machine code made of that very program, for two sets of data. What is lowered for an OpenCL
  device is watched for work-items that conflict.

Lowering and the closures of the interpreter are made once for a case and a size.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.fuzzing.differences import Disagreement
from tdsl.fuzzing.draw import Draw, RandomDraw
from tdsl.fuzzing.step import Step
from tdsl.fuzzing.walk import LeftTraceError, attempt, random_steps
from tests.fuzz import brute, flows, instructions, kernels, lowering, texts, witnesses
from tests.fuzz.algorithms import Algorithm
from tests.fuzz.named import algorithm_of
from tests.fuzz.oracles import canonical_against_reference

instructions.declare()


@dataclass(frozen=True)
class Options:
    """What a run checks."""

    compiled: bool = True
    judged: float = 0.3  # share of refused steps that brute force judges
    swarm: bool = False  # each walk draws from a few primitives of its own
    only: frozenset[str] | None = None  # nothing but these is drawn
    target: str = "llvm"


@dataclass
class Refusal:
    """A step that was refused. `legal`: what brute force says; None: not asked or not runnable.

    `coincident`: the results are right at the small sizes, but that is all.
    """

    primitive: str
    reason: str
    legal: bool | None = None
    coincident: str = ""
    judged: bool = False
    proven_wrong: bool = False  # the prover refused it, not the primitive
    witnessed: bool = False
    case: tuple[Algorithm, tuple[Step, ...]] | None = None


@dataclass
class Result:
    """What one case came to."""

    seed: str
    kinds: tuple[str, ...] = ()
    symbolic: bool = False
    numerics: str = ""
    accepted: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    built: str = ""
    failure: tuple[str, str] | None = None
    case: tuple[Algorithm, tuple[Step, ...]] | None = None


def walk(s: td.Schedule, draw: Draw, result: Result, options: Options) -> list[Step]:
    """Apply random steps until enough are accepted; each refusal must leave no trace."""
    steps: list[Step] = []

    def take(step: Step) -> bool:
        result.case = (result.case[0], (*steps, step))
        started = time.perf_counter()
        error = attempt(s, step)
        if error is None:
            steps.append(step)
            result.accepted.append(step.primitive)
            result.seconds.append(time.perf_counter() - started)
            return True
        refusal = Refusal(step.primitive, error.reason)
        result.refused.append(refusal)
        if draw.chance(options.judged):
            judge(s, step, result, refusal, error.witness)
        return False

    random_steps(s, draw, take, swarms=options.swarm, only=options.only)
    return steps


class CheckError(Exception):
    """A check failed: `oracle` says which."""

    def __init__(self, oracle: str, detail: str) -> None:
        super().__init__(f"{oracle}: {detail}")
        self.oracle = oracle
        self.detail = detail


def judge(
    s: td.Schedule, step: Step, result: Result, refusal: Refusal, witness: td.Witness | None
) -> None:
    """Ask brute force whether a refused step was legal, and hold the witness to its word."""
    algorithm, steps = result.case
    refusal.judged = True
    refused = brute.unproven(s, step)
    if refused is None:
        return
    refusal.proven_wrong = True
    refusal.witnessed = witness is not None
    if witness is not None:
        # what reuse refuses first is an algorithm in whose own order a value would be lost
        claim = witnesses.false_claim(refused, witness, canonical=step.primitive == "reuse")
        if claim is not None:
            raise CheckError("witness", f"{step.source()}: {claim}; {witness.render()}")
    refusal.legal = brute.fault(refused, algorithm, result.seed) is None
    if refusal.legal:
        hidden = brute.hidden_fault(refused, algorithm, result.seed)
        refusal.coincident = hidden.detail if hidden else ""
        refusal.legal = hidden is None
    if refusal.legal:
        refusal.case = (algorithm, steps)


def run_case(seed: str, options: Options) -> Result:
    """Make the case of a seed and check it."""
    result = Result(seed)
    try:
        algorithm = algorithm_of(seed)
        result.kinds, result.symbolic = algorithm.kinds, algorithm.is_symbolic
        result.case = (algorithm, ())
        check_canonical(algorithm, seed)
        s = td.Schedule(algorithm.func, options.target)
        steps = walk(s, RandomDraw(f"{seed}/steps"), result, options)
        result.case = (algorithm, tuple(steps))
        result.numerics = s.numerics.value
        check_schedule(s, algorithm, seed)
        if options.compiled:
            result.built = check_kernel(s, algorithm, seed)
    except CheckError as fault:
        result.failure = (fault.oracle, fault.detail)
    except LeftTraceError as fault:
        result.failure = ("refusal", str(fault))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rpartition('/')[2]}:{last.name}"
        result.failure = ("exception", f"{type(error).__name__} in {where}: {error}"[:2000])
    return result


def check_canonical(algorithm: Algorithm, seed: str) -> None:
    """The interpreter agrees with numpy on the algorithm."""
    for at in brute.size_samples(algorithm, seed):
        _raise(canonical_against_reference(at, 0))


def check_schedule(s: td.Schedule, algorithm: Algorithm, seed: str) -> None:
    """The scheduled program computes what the algorithm means, in every order, and reads back."""
    _raise(brute.fault(s, algorithm, seed))
    _raise(flows.against_algorithm(s, algorithm, 0))
    _raise(texts.round_trips(s))


def check_kernel(s: td.Schedule, algorithm: Algorithm, seed: str) -> str:
    """The lowered program and the compiled kernel agree; returns how building went."""
    built = kernels.build(s)
    if isinstance(built, str):
        return built
    exact = s.numerics is Numerics.EXACT
    for at in brute.size_samples(algorithm, seed):
        _raise(lowering.against_canonical(s.program, at, s.target, 0, exact=exact))
        for data in (0, 1):
            _raise(kernels.against_canonical(built, s, at, data))
    return "built"


def _raise(found: Disagreement | None) -> None:
    if found is not None:
        raise CheckError(found.oracle, found.detail)


def replay(
    algorithm: Algorithm, steps: tuple[Step, ...], *, target: str = "llvm", compiled: bool = True
) -> str | None:
    """The oracle that a case fails, or None; refused steps are left out."""
    try:
        check_canonical(algorithm, "replay")
        s = td.Schedule(algorithm.func, target)
        for step in steps:
            attempt(s, step)
        check_schedule(s, algorithm, "replay")
        if compiled:
            check_kernel(s, algorithm, "replay")
    except CheckError as fault:
        return fault.oracle
    except LeftTraceError:
        return "refusal"
    except Exception as error:  # noqa: BLE001 - as in run_case
        return f"exception {type(error).__name__}"
    return None


def last_is_legal_but_refused(
    algorithm: Algorithm, steps: tuple[Step, ...], *, target: str = "llvm"
) -> bool:
    """Whether the last of the steps is refused although brute force finds it legal."""
    if not steps:
        return False
    s = td.Schedule(algorithm.func, target)
    try:
        for step in steps[:-1]:
            step.apply(s)
    except (td.ScheduleError, td.TypeMismatch):
        return False
    try:
        steps[-1].apply(brute.fork(s))
    except td.ScheduleError:
        return brute.step_is_legal(s, steps[-1], algorithm, "replay") is True
    except td.TypeMismatch:
        return False
    return False


def script(algorithm: Algorithm, steps: tuple[Step, ...], target: str = "llvm") -> str:
    """The case as a Python script."""
    lines = [
        "import tdsl as td",
        *(["from tdsl.schedules import combinators"] if any(x.is_combined for x in steps) else []),
        "",
        algorithm.source(),
        "",
        "s = td.Schedule(f)" if target == "llvm" else f's = td.Schedule(f, "{target}")',
        *(step.source() for step in steps),
        "print(s)",
    ]
    return "\n".join(lines) + "\n"
