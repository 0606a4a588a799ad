"""ONNX's backend test suite: counts, and failures by reason.

python -m tests.conformance                    # every case, about ten minutes
python -m tests.conformance --match reduce -v  # some, each with its outcome
python -m tests.conformance --record           # write down what passed as what must pass
"""

import argparse
import json
import re
import sys

from tests.conformance.cases import stored_cases
from tests.conformance.outcomes import Outcome
from tests.conformance.report import EXPECTED, expected_passes, record, summary, table
from tests.conformance.running import case_names, run_cases


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--match", default="", help="cases in whose name this expression is found")
    parser.add_argument("--new", action="store_true", help="cases that are not known to pass")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="the summary as JSON, and nothing else")
    parser.add_argument("--record", action="store_true", help=f"write {EXPECTED.name}")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each case")
    chosen = parser.parse_args()
    cases = stored_cases()
    names = [name for name in case_names(cases) if re.search(chosen.match, name)]
    if chosen.new:
        names = [name for name in names if name not in expected_passes()]
    results = []
    for result in run_cases(cases, names, chosen.jobs):
        results.append(result)
        if chosen.verbose and not chosen.json:
            reasons = "; ".join(result.reasons)
            print(f"{result.outcome.value:12}{result.seconds:7.2f} s  {result.name}  {reasons}")
        elif not chosen.json:
            print(f"\r{len(results)} of {len(names)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    expected = expected_passes() & set(names)
    passed = {r.name for r in results if r.outcome is Outcome.PASSED}
    if chosen.record:
        record(passed, names)
    found = summary(results, sorted(expected - passed))
    print(json.dumps(found, indent=1) if chosen.json else table(found))
    return 1 if found["regressions"] else 0


if __name__ == "__main__":
    sys.exit(main())
