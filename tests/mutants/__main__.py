"""`python -m tests.mutants`: seeded faults in the prover and the lowering passes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.mutants.runner import PACKAGES, Plan, chosen, run


def main() -> int:
    """Parse the command line, judge mutants, print the table; 1 if some survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="how many mutants (100)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same mutants")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    parser.add_argument("--package", action="append", choices=PACKAGES, help="only of this package")
    parser.add_argument("--match", default="", help="only mutants whose key holds this text")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds a mutant (20)")
    parser.add_argument("--schedules", type=int, default=200, help="fuzzed schedules (200)")
    parser.add_argument("--reach", type=Path, help="keep here which test runs what, for next time")
    parser.add_argument("--out", type=Path, help="write the verdicts as JSON")
    given = parser.parse_args()
    picked = chosen(given.count, given.seed, tuple(given.package or PACKAGES), given.match)
    plan = Plan(picked, given.jobs, given.budget, given.schedules, given.reach)
    found = run(plan, lambda text: print(text, file=sys.stderr, flush=True))
    print(found.table())
    if given.out:
        given.out.write_text(json.dumps(found.json(), indent=1) + "\n")
    return 1 if found.survivors else 0


if __name__ == "__main__":
    sys.exit(main())
