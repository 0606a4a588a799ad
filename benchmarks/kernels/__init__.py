"""The benchmarked kernels, written in the language: one file for each workload family.

A family is ``Workload.family``: gemm, gemm_sym, gemm_tn, gemm_f64, gemm_relu, gemm_i8, gemm_bf16,
bmm, attn, conv, dwconv, elem, softmax, layernorm, rowsum, argmax, transpose, cumsum, blur, unsharp,
jacobi, harris, tiny; and the pipelines chain8, chain8_flat, jacobi20, jacobi20_flat, bilateral,
local_laplacian, camera. Its file defines

    def workload(shape: Mapping[str, int]) -> td.Func | None
        # the algorithm; inputs in the order of references.FAMILIES[kind].inputs; None: not done
    def schedule(func: td.Func, threads: int) -> td.Schedule
        # by hand, for peer `tdsl`; `tdsl-default` and `tdsl-tuned` use the library's instead

and may define

    def arguments(*inputs) -> sequence of arrays     # e.g. float32 inputs as bfloat16
    CONSTANTS = {1: "B"}     # for peer `tdsl-const`: argument position -> tensor packed ahead
    def constant_schedule(func: td.Func, threads: int) -> td.Schedule    # goes with CONSTANTS

A family without a file is left out of tdsl's column.
"""
