"""Operators on random shapes, types and attributes, against numpy.

python -m tests.operators --cases 2000 --seed 1
python -m tests.operators --match scatter --cases 100
"""

import argparse
import json
import re
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice

from tests.operators.running import FAMILIES, SIZES_EACH, attempt


def _plan(names, seed):
    """Every operator in turn, with new seeds each time round."""
    while True:
        for name in names:
            for n in range(SIZES_EACH if name.startswith("symbolic.") else 1):
                yield name, seed + n
        seed += SIZES_EACH


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.operators", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--match", default="", help="operators in whose name this is found")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    names = [name for name in FAMILIES if re.search(chosen.match, name)]
    plan = list(islice(_plan(names, 1_000_000 * chosen.seed), chosen.cases)) if names else []
    found, counts = [], Counter()
    with ProcessPoolExecutor(chosen.jobs) as pool:
        waiting = {pool.submit(attempt, *one): one for one in plan}
        try:
            for done in as_completed(waiting):
                name, seed = waiting[done]
                counts[name] += 1
                if wrong := done.result():
                    found.append({"operator": name, "seed": seed, "wrong": wrong})
                    print(f"\n{name} seed {seed}: {wrong[:600]}", file=sys.stderr)
                print(f"\r{counts.total()} of {len(plan)}", end="", file=sys.stderr, flush=True)
        except KeyboardInterrupt:  # what was found so far counts
            pool.shutdown(wait=False, cancel_futures=True)
    print(file=sys.stderr)
    figures = {
        "cases": counts.total(), "operators": len(counts), "mismatches": len(found), "found": found,
    }  # fmt: skip
    if chosen.json:
        print(json.dumps(figures, indent=1))
    else:
        print(f"{counts.total()} cases of {len(counts)} operators: {len(found)} mismatches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
