"""``python -m benchmarks.tuner``."""

import sys

from benchmarks.tuner.cli import main

sys.exit(main(sys.argv[1:]))
