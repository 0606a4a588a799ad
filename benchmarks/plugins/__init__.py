"""Worker plug-ins: loaded by path in each peer's own interpreter (see ``benchmarks/worker.py``)."""
