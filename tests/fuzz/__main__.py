"""`python -m tests.fuzz`: random algorithms and schedules against every oracle."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from tdsl.fuzzing.makers import makers
from tests.fuzz.case import Options, run_case, script
from tests.fuzz.driver import fuzz, save_failure
from tests.fuzz.named import case_seeds


def main() -> int:
    """Parse the command line, run, and print the table; 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--schedules", type=int, default=500, help="how many cases (500)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same cases")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes (2)")
    parser.add_argument("--out", type=Path, help="where failures and summary.json are written")
    parser.add_argument(
        "--corpus", type=_share, nargs="?", const=1.0, default=0.2, metavar="SHARE",
        help="share of cases that are algorithms of the corpus (0.2; without a number: all)",
    )  # fmt: skip
    parser.add_argument("--judged", type=_share, default=0.3, help="share of refusals judged (0.3)")
    parser.add_argument("--target", default="llvm", help="such as opencl (llvm)")
    parser.add_argument("--no-kernels", action="store_true", help="interpreter only")
    parser.add_argument(
        "--swarm", action="store_true", help="each case draws from a few primitives of its own",
    )  # fmt: skip
    parser.add_argument(
        "--only", type=_primitives, metavar="NAMES", help="draw only these, such as split,reuse"
    )
    parser.add_argument("--fail-fast", action="store_true", help="end at the first failure")
    parser.add_argument("--case", help="run one case, such as 1.42 or matmul.1.42")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    given = parser.parse_args()
    options = Options(not given.no_kernels, given.judged, given.swarm, given.only, given.target)
    folder = given.out or Path(tempfile.mkdtemp(prefix="tdsl-fuzz-"))
    with tempfile.TemporaryDirectory(prefix="tdsl-fuzz-cache-") as cache:
        os.environ["TDSL_CACHE_DIR"] = cache  # the compiler may have changed: no old objects
        if given.case:
            return one_case(given.case, options, folder)
        seeds = list(case_seeds(given.schedules, given.seed, given.corpus))
        tally = fuzz(
            seeds, given.jobs, options, folder,
            lambda text: print(text, file=sys.stderr, flush=True), fail_fast=given.fail_fast,
        )  # fmt: skip
    print(json.dumps(tally.json(), indent=1) if given.json else tally.table())
    print(f"\nreports in {folder}", file=sys.stderr)
    return 0 if tally.is_good() else 1


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share: give a number from 0 to 1")
    return share


def _primitives(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if unknown := names - set(makers()):
        shown, known = ", ".join(sorted(unknown)), ", ".join(makers())
        raise argparse.ArgumentTypeError(f"no step is drawn of {shown}; there are {known}")
    return names


def one_case(seed: str, options: Options, folder: Path) -> int:
    """Run one case here and show it."""
    result = run_case(seed, options)
    assert result.case is not None
    print(script(*result.case, options.target))
    if result.failure is None:
        print(f"# passed: {result.numerics}, {result.built}")
        return 0
    save_failure(result, options, folder, print)
    return 1


if __name__ == "__main__":
    sys.exit(main())
