"""How well the tuner searches: `python -m benchmarks.tuner --help`."""
