"""Run many cases in worker processes, and make what fails smaller."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tdsl.fuzzing.step import Step
from tdsl.fuzzing.workers import Died, apart, results
from tests.fuzz.algorithms import Algorithm
from tests.fuzz.case import (
    Options,
    Result,
    last_is_legal_but_refused,
    replay,
    run_case,
    script,
)
from tests.fuzz.shrink import Case, shrink
from tests.fuzz.tally import Tally

_LIMIT = 120.0  # seconds of processor time for one case
_ALONE = 20.0  # for one trial of shrinking what hangs
_ENDS = ("crash", "hang")
_TRIALS_APART = 40
_TRIALS_LEGAL = 120


def fuzz(
    seeds: Sequence[str], jobs: int, options: Options, folder: Path,
    report: Callable[[str], None], *, fail_fast: bool = False,
) -> Tally:  # fmt: skip
    """Run cases; failures are shrunk and saved as scripts in `folder`.

    With `fail_fast`, the first failure ends the run, and nothing is shrunk.
    """
    tally = Tally()
    every = max(1, len(seeds) // 20)
    for case, found in results(seeds, partial(run_case, options=options), jobs, _LIMIT):
        died = isinstance(found, Died)
        result = Result(case, failure=(found.end, found.detail)) if died else found
        tally.add(result)
        if fail_fast:
            if result.failure is not None:
                report(f"FAILED at seed {result.seed}: {': '.join(result.failure)}")
                break
            continue
        if result.failure is not None:
            save_failure(result, options, folder, report)
        save_legal(result, options, folder)
        if tally.cases % every == 0:
            report(f"{tally.cases} cases, {sum(tally.failures.values())} failures")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(tally.json(), indent=1) + "\n")
    return tally


def save_legal(result: Result, options: Options, folder: Path) -> None:
    """Keep the steps that were refused although brute force found them legal."""
    for number, refusal in enumerate(r for r in result.refused if r.case is not None):
        assert refusal.case is not None
        still = partial(last_is_legal_but_refused, target=options.target)
        case = shrink(refusal.case, still, budget=_TRIALS_LEGAL)
        path = folder / "refused_but_legal" / f"{refusal.primitive}_{result.seed}_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# refused: {refusal.reason}\n{script(*case, options.target)}")


def save_failure(
    result: Result, options: Options, folder: Path, report: Callable[[str], None]
) -> Path:
    """Shrink a failing case, print it and save it."""
    assert result.failure is not None
    oracle, detail = result.failure
    text = f"# seed {result.seed}: {oracle}: " + detail.replace("\n", "\n# ") + "\n"
    if oracle in _ENDS:
        case = shrunk_apart(result, options)
    else:
        case = result.case and shrunk_here(result.case, options, oracle)
    if case is not None:
        text += script(*case, options.target)
    path = folder / f"{oracle}_{result.seed}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    report(f"FAILED {oracle} at seed {result.seed}: {path}\n{text}")
    return path


def shrunk_here(case: Case, options: Options, oracle: str) -> Case:
    """A smaller case that fails in the same way."""
    compiled = options.compiled and oracle in ("kernel", "lowered", "exception")
    again = partial(replay, target=options.target, compiled=compiled)
    wanted = again(*case)
    if wanted is None:
        return case
    return shrink(case, lambda a, s: again(a, s) == wanted)


def shrunk_apart(result: Result, options: Options) -> Case | None:
    """The same for a case that ends its process: each trial gets one of its own."""
    assert result.failure is not None
    wanted = result.failure[0]
    plain = replace(options, compiled=False, judged=0.0)
    found = apart(run_case, result.seed, plain, limit=_LIMIT)
    if isinstance(found, Died) or found.case is None:
        return None
    limit = _LIMIT if wanted == "crash" else _ALONE

    def fails(algorithm: Algorithm, steps: tuple[Step, ...]) -> bool:
        again = partial(replay, target=options.target)
        end = apart(again, algorithm, steps, limit=limit)
        return isinstance(end, Died) and end.end == wanted

    return shrink(found.case, fails, budget=_TRIALS_APART)
