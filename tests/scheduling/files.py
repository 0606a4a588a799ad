"""Schedule files beside the file that holds their algorithm."""

ALGORITHM = """
import tdsl as td

M, N, K = td.sizes("M N K")
A = td.placeholder((M, K), "float32", name="A")
B = td.placeholder((K, N), "float32", name="B")
k = td.reduce_axis(K, name="k")
C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
matmul = td.func("matmul", [A, B], [C])

@td.combinator
def file_blocked(s, block, rows, cols):
    i, j = s.loops(block)[:2]
    return s.tile(i, j, rows, cols)

def sized(M, N):
    a = td.placeholder((M, N), "float32", name="A")
    b = td.compute((M, N), lambda i, j: a[i, j] + 1, name="B")
    return td.func("sized", [a], [b])
"""


def write(folder, body, algorithm="algorithm.py:matmul", mark=None, source=ALGORITHM):
    (folder / "algorithm.py").write_text(source)
    path = folder / "schedule.tdsl"
    mark = mark or "0" * 8
    path.write_text(
        f"tdsl-schedule 1\nalgorithm {algorithm}\nfingerprint {mark}\n"
        f"target llvm -mcpu=znver4\n\n{body}"
    )
    return path
