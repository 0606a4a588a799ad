"""Counts of a run of the suite, its failures by reason, and what is expected to pass."""

from collections import Counter, defaultdict
from pathlib import Path

from tests.conformance.outcomes import FAILURES, Outcome

EXPECTED = Path(__file__).with_name("expected.txt")


def expected_passes():
    """Names of the cases that must pass."""
    return set(EXPECTED.read_text().split()) if EXPECTED.exists() else set()


def record(passed, names):
    """Of the cases in `names`, those in `passed` must pass from now on."""
    kept = (expected_passes() - set(names)) | passed
    EXPECTED.write_text("".join(f"{name}\n" for name in sorted(kept)))


def summary(results, regressions):
    """The figures of a run, ready for JSON."""
    counts = Counter(result.outcome.value for result in results)
    reasons = defaultdict(lambda: defaultdict(list))
    for result in results:
        if result.outcome is not Outcome.PASSED:
            for reason in result.reasons:
                reasons[result.outcome.value][reason].append(result.name)
    return {
        "cases": len(results),
        "failed": sum(counts[outcome.value] for outcome in FAILURES),
        **{outcome.value: counts[outcome.value] for outcome in Outcome},
        "seconds": round(sum(result.seconds for result in results), 1),
        "regressions": regressions,
        "reasons": {
            outcome: {r: sorted(n) for r, n in sorted(found.items(), key=lambda p: -len(p[1]))}
            for outcome, found in reasons.items()
        },
    }


def table(found):
    """The same for people."""
    lines = []
    for outcome in (Outcome.WRONG, Outcome.CRASHED, Outcome.ERROR, Outcome.UNSUPPORTED):
        reasons = found["reasons"].get(outcome.value, {})
        if reasons:
            lines += ["", f"{outcome.value}: {found[outcome.value]} cases"]
        for reason, names in reasons.items():
            lines.append(f"{len(names):6}  {reason:60}  {names[0]}")
    if found["regressions"]:
        lines += ["", "expected to pass, but did not:", *(f"  {n}" for n in found["regressions"])]
    lines += [
        "",
        f"{found['cases']} cases: {found['passed']} passed, {found['failed']} failed "
        f"({found['wrong']} wrong, {found['error']} errors, {found['crashed']} crashes), "
        f"{found['unsupported']} unsupported, {found['skipped']} skipped",
    ]
    return "\n".join(lines)
