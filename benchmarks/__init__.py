"""Side-by-side benchmarks: tdsl, its peers and the machine's limits in one run.

    python -m benchmarks --rows gemm_1024 blur3x3 --peers numpy halide ort tdsl --threads 1 2

See benchmarks/README.md for what is measured and how to add a row, a peer or a kernel.
"""
