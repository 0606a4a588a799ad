"""`python -m tests.expected`: renew and draw programs, and steps that are refused."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import tdsl as td
from tests.expected import refusals
from tests.expected.choosing import algorithm_names, chosen, draw_case, write
from tests.expected.programs import Expected, draw, keep_default, names
from tests.fuzz.named import CORPUS


def main() -> None:
    """Parse the command line and write files."""
    parser = argparse.ArgumentParser(prog="python -m tests.expected", description=__doc__)
    parser.add_argument("--renew", nargs="*", metavar="NAME", help="lower again (all)")
    parser.add_argument("--draw", nargs="*", metavar="ALGORITHM", help="random schedules (of all)")
    parser.add_argument("--refusals", nargs="*", metavar="ALGORITHM", help="ask again (all)")
    parser.add_argument(
        "--choose", type=int, metavar="N", help="draw refusals anew, N cases of each"
    )
    parser.add_argument("--default", metavar="HEADER", help='such as "operator.add N=40"')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default="llvm -mcpu=znver5")
    given = parser.parse_args()
    if given.renew is not None:
        for name in given.renew or names():
            expected = Expected(name)
            with tempfile.TemporaryDirectory() as scratch:
                expected.path.write_text(expected.made(Path(scratch)))
    if given.default:
        keep_default(given.default, given.target)
    if given.refusals is not None:
        for name in given.refusals or refusals.names():
            kept = refusals.Refusals(name)
            kept.path.write_text(kept.made())
    if given.choose:
        _choose(range(given.seed, given.seed + given.choose))
    if given.draw is not None:
        for name in given.draw or CORPUS:
            _draw(name, given.seed, given.target)


def _draw(name: str, seed: int, target: str) -> None:
    try:
        expected = draw(name, seed, target)
    except td.TdslError as error:
        print(f"{name}: {error}")
        return
    print(f"{name}: {expected.path.stat().st_size if expected else 'too long or too short'}")


def _choose(seeds: range) -> None:
    drawn = [draw_case(name, seed) for seed in seeds for name in algorithm_names()]
    counts = write(chosen([case for case in drawn if case is not None]))
    print(f"{counts.total()} refusals of {len(counts)} algorithms")


if __name__ == "__main__":
    main()
