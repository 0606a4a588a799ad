"""Models in C programs, which know nothing of Python."""

import shutil
import struct
import subprocess

import pytest
from typer.testing import CliRunner

import tdsl as td
from tdsl.cli.main import app
from tdsl.graph import FeedError
from tdsl.runtime.native.data_object import data_object
from tdsl.runtime.native.elf import defined_symbols
from tests.graph.onnx_models import ModelBuilder, random_feeds

PROGRAM = """
#include <stdio.h>
#include "net.h"

static float x[2 * 3 * 12 * 12], probabilities[2 * 5], halves[2 * 4];
static int64_t ids[2];

int main(void)
{
    FILE *in = fopen("in", "rb"), *out = fopen("out", "wb");
    if (!in || !out || fread(x, 1, sizeof x, in) != sizeof x) return 1;
    if (fread(ids, 1, sizeof ids, in) != sizeof ids) return 2;
    for (int n = 0; n < 2; ++n)
        if (net(x, ids, probabilities, halves) != TDSL_OK) return 3;
    fwrite(probabilities, 1, sizeof probabilities, out);
    fwrite(halves, 1, sizeof halves, out);
    fclose(out);
    ids[1] = 99;
    return net(x, ids, probabilities, halves) == TDSL_INDEX_OUT_OF_RANGE ? 0 : 4;
}
"""


def net():
    """Convolutions, products with packed constants, a part of a value, and an index from data."""
    b = ModelBuilder()
    y = b.op("Relu", b.op("Conv", "x", b.weight(16, 3, 3, 3), b.weight(16), pads=[1, 1, 1, 1]))
    y = b.op("Flatten", b.op("GlobalAveragePool", b.op("Conv", y, b.weight(16, 16, 3, 3))))
    left = b.op("Gemm", y, b.weight(8, 16), transB=1)
    y = b.op("Add", left, b.op("Gather", b.weight(4, 8), "ids"))
    halves = b.op("Split", b.op("Transpose", left, perm=[1, 0]), results=2, num_outputs=2)
    results = [b.op("Softmax", b.op("MatMul", y, b.weight(8, 5))), b.op("Relu", halves[1])]
    inputs = {"x": ("float32", ["batch", 3, 12, 12]), "ids": ("int64", ["batch"])}
    return b.model(inputs, results, opset=18), inputs


def test_a_c_program_computes_what_a_session_does(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine")
    model, inputs = net()
    feeds = random_feeds(inputs, batch=2)
    library = td.export_model(model, tmp_path, name="net", sizes={"batch": 2})
    assert len(library.signatures["net"].params) == 4
    (tmp_path / "program.c").write_text(PROGRAM)
    (tmp_path / "in").write_bytes(feeds["x"].tobytes() + feeds["ids"].tobytes())
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    linked = ["-o", "program", "-L.", "-lnet", "-lpthread"]
    for command in (["cc", *strict, "program.c", *linked], ["./program"]):
        subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    expected = td.Session(model, sizes="specialise").run(feeds)
    wanted = b"".join(array.tobytes() for array in expected.values())
    assert (tmp_path / "out").read_bytes() == wanted


def test_a_model_for_another_architecture(tmp_path):
    b = ModelBuilder()
    model = b.model({"x": ("float32", [4, 32])}, [b.op("MatMul", "x", b.weight(32, 32))])
    path = tmp_path / "a-model.onnx"
    path.write_bytes(model.SerializeToString())
    arguments = ["build", str(path), "--target", "llvm -mcpu=neoverse-n1", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "a_model(x: float32[4, 32]) -> " in done.output
    code = (tmp_path / "a_model.o").read_bytes()
    assert struct.unpack_from("<H", code, 18) == (183,)  # EM_AARCH64
    assert "a_model_abi" in defined_symbols(code)


def test_a_model_without_numbers_is_refused(tmp_path):
    model, _ = net()
    with pytest.raises(FeedError, match="extent 'batch' of this model has no number"):
        td.export_model(model, tmp_path)
    with pytest.raises(FeedError, match="no extent of this model is called 'length'"):
        td.export_model(model, tmp_path, sizes={"length": 2})
    with pytest.raises(td.LoweringError, match="compiled for a processor"):
        td.export_model(model, tmp_path, "opencl", sizes={"batch": 2})
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_linked_under_their_name(tmp_path):
    code = data_object("some_bytes", b"abc", td.target("llvm").triple)
    assert defined_symbols(code) == ["some_bytes"]
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine")
    (tmp_path / "bytes.o").write_bytes(code)
    source = "#include <stdio.h>\nextern const char some_bytes[];\n"
    source += 'int main(void) { printf("%.3s", some_bytes); return (long)some_bytes % 64; }\n'
    (tmp_path / "program.c").write_text(source)
    subprocess.run(["cc", "program.c", "bytes.o"], cwd=tmp_path, check=True, timeout=120)
    done = subprocess.run(["./a.out"], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    assert done.stdout == b"abc"
