"""Run cases whose names come from standard input, a line of JSON for each on standard output."""

import json
import sys
import time
import warnings

from tests.conformance.blocked import block_other_runtimes, is_blocked

if __name__ == "__main__":  # before anything imports onnx; not where tests are collected
    block_other_runtimes()

from tests.conformance.outcomes import Outcome, Result, outcome_of
from tests.conformance.suite import official_suite, tests_by_name


def run(test, name):
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(test, test._testMethodName)()
    except Exception as error:  # noqa: BLE001 - whatever a case raises is its outcome
        outcome, reasons = outcome_of(error)
    else:
        outcome, reasons = Outcome.PASSED, ()
    return Result(name, outcome, reasons, round(time.perf_counter() - start, 3))


def main():
    tests = tests_by_name(official_suite(sys.argv[1]))
    names = [line.strip() for line in sys.stdin]
    for name in names or tests:
        print(json.dumps(run(tests[name], name).to_json()), flush=True)
    assert is_blocked()


if __name__ == "__main__":
    main()
