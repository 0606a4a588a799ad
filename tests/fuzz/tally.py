"""Counts over many cases, as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tdsl.fuzzing.makers import makers, without_maker
from tests.fuzz.case import Result
from tests.fuzz.named import CORPUS

ENOUGH_STEPS = 8.0
ENOUGH_ACCEPTED = 200 / 5000
MOST_LEGAL_REFUSED = 0.01


@dataclass
class Tally:
    """What a run came to."""

    cases: int = 0
    steps: int = 0
    symbolic: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    numerics: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    legal: Counter[str] = field(default_factory=Counter)
    coincident: Counter[str] = field(default_factory=Counter)
    algorithms: Counter[str] = field(default_factory=Counter)
    algorithm_steps: Counter[str] = field(default_factory=Counter)
    algorithm_failures: Counter[str] = field(default_factory=Counter)
    built: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    legal_reasons: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    disproved: int = 0
    witnessed: int = 0

    def add(self, result: Result) -> None:
        """Count one case."""
        self.cases += 1
        self.steps += len(result.accepted)
        self.symbolic += result.symbolic
        self._count_kinds(result)
        self.accepted.update(result.accepted)
        self.seconds += result.seconds
        if result.numerics:
            self.numerics[result.numerics] += 1
        if result.built:
            self.built[result.built] += 1
        if result.failure is not None:
            self.failures[result.failure[0]] += 1
        for refusal in result.refused:
            self.refused[refusal.primitive] += 1
            self.judged[refusal.primitive] += refusal.judged
            self.disproved += refusal.proven_wrong
            self.witnessed += refusal.witnessed
            self.coincident[refusal.primitive] += bool(refusal.coincident)
            if refusal.legal:
                self.legal[refusal.primitive] += 1
                self.legal_reasons[f"{refusal.primitive}: {refusal.reason[:70]}"] += 1

    def _count_kinds(self, result: Result) -> None:
        """An algorithm of the corpus is counted by its name, a random one by what it is made of."""
        name = result.seed.partition(".")[0]
        if name not in CORPUS:
            self.kinds.update(result.kinds)
            return
        self.algorithms[name] += 1
        self.algorithm_steps[name] += len(result.accepted)
        self.algorithm_failures[name] += result.failure is not None

    @property
    def mean_steps(self) -> float:
        return self.steps / max(1, self.cases)

    def legal_refused(self) -> float:
        """Share of legal steps that were refused: judged ones scaled up to all refused ones."""
        missed = sum(
            n * self.refused[name] / max(1, self.judged[name]) for name, n in self.legal.items()
        )
        return missed / max(1.0, missed + sum(self.accepted.values()))

    def rare(self) -> list[str]:
        """Primitives that were accepted less often than a run of 5 000 should 200 times."""
        return [n for n in makers() if self.accepted[n] < ENOUGH_ACCEPTED * self.cases]

    def percentile(self, share: float) -> float:
        """Milliseconds that this share of the accepted steps took at most."""
        ordered = sorted(self.seconds)
        return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def json(self) -> dict[str, object]:
        """All counts."""
        return {
            "cases": self.cases,
            "mean_steps": self.mean_steps,
            "symbolic": self.symbolic,
            "kinds": dict(self.kinds),
            "algorithms": {
                name: {
                    "cases": self.algorithms[name],
                    "steps": self.algorithm_steps[name],
                    "failures": self.algorithm_failures[name],
                }
                for name in sorted(self.algorithms)
            },
            "numerics": dict(self.numerics),
            "primitives": {
                name: {
                    "accepted": self.accepted[name],
                    "refused": self.refused[name],
                    "judged": self.judged[name],
                    "refused_but_legal": self.legal[name],
                    "right_by_coincidence": self.coincident[name],
                }
                for name in makers()
            },
            "refused_but_legal": self.legal_refused(),
            "witnessed": self.witnessed / max(1, self.disproved),
            "refused_but_legal_reasons": dict(self.legal_reasons.most_common(30)),
            "built": dict(self.built),
            "failures": dict(self.failures),
            "step_ms": {"median": self.percentile(0.5), "p99": self.percentile(0.99)},
            "rare": self.rare(),
            "without_maker": without_maker(),
        }

    def table(self) -> str:
        """The counts for people."""
        lines = [f"{'primitive':<22}{'accepted':>9}{'refused':>9}{'judged':>9}{'legal':>7}"]
        lines += [
            f"{name:<22}{self.accepted[name]:>9}{self.refused[name]:>9}"
            f"{self.judged[name]:>9}{self.legal[name]:>7}"
            for name in makers()
        ]
        lines += [
            "",
            f"schedules          {self.cases} ({self.symbolic} of symbolic sizes)",
            f"steps accepted     {self.mean_steps:.2f} a schedule (goal {ENOUGH_STEPS})",
            f"refused but legal  {100 * self.legal_refused():.2f} % of legal steps "
            f"(goal {100 * MOST_LEGAL_REFUSED:.0f} %)",
            f"right by chance    {self.coincident.total()} more of {self.judged.total()} judged: "
            "equal values, or too small sizes",
            f"with a witness     {self.witnessed} of {self.disproved} refusals of the prover",
            f"time of a step     median {self.percentile(0.5):.1f} ms, "
            f"p99 {self.percentile(0.99):.1f} ms",
            f"numerics           {_counts(self.numerics)}",
            f"families           {_counts(self.kinds)}",
            f"corpus             {self.algorithms.total()} of {len(self.algorithms)} algorithms: "
            f"{_counts(self.algorithms, len(self.algorithms))}",
            f"built              {_counts(self.built, 6)}",
            f"failures           {_counts(self.failures) or 'none'}",
        ]
        if self.rare():
            lines.append(f"seldom accepted    {', '.join(self.rare())}")
        if without_maker():
            lines.append(f"never drawn        {', '.join(without_maker())}")
        for reason, n in self.legal_reasons.most_common(12):
            lines.append(f"  legal, refused {n} x {reason}")
        return "\n".join(lines)

    def is_good(self) -> bool:
        """Nothing failed, and the goals on refusals are met."""
        return not self.failures and self.legal_refused() <= MOST_LEGAL_REFUSED


def _counts(counter: Counter[str], most: int = 20) -> str:
    return ", ".join(f"{name} {n}" for name, n in counter.most_common(most))
