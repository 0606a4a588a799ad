"""`python -m tests.expected`: renew and draw the programs of `test_expected.py`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import tdsl as td
from tests.expected.programs import Expected, draw, keep_default, names
from tests.fuzz.named import CORPUS


def main() -> None:
    """Parse the command line and write files."""
    parser = argparse.ArgumentParser(prog="python -m tests.expected", description=__doc__)
    parser.add_argument("--renew", nargs="*", metavar="NAME", help="lower again (all)")
    parser.add_argument("--draw", nargs="*", metavar="ALGORITHM", help="random schedules (of all)")
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


if __name__ == "__main__":
    main()
