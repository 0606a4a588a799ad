# %% [markdown]
# # Running a model
#
# `td.Session` loads an ONNX model, fuses its operators, compiles each group of them under its
# default schedule, and runs the whole as one native call. Run this with
# `python tutorials/04_model.py`; it needs the package onnx (`pip install 'tdsl[onnx]'`).

# %%
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from tour.resnet18 import export

import tdsl as td

FOLDER = Path("tutorial-output")
FOLDER.mkdir(exist_ok=True)

# %% [markdown]
# ## A file
#
# The first stage of a residual network with random weights, on pictures of 64 x 64 pixels
# (`tutorials/tour/resnet18.py` writes it operator by operator, and the whole ResNet-18 too). The
# number of pictures is left open: it has a name, "batch".

# %%
path = export(FOLDER / "small.onnx", batch="batch", size=64, stages=((32, 2),))
session = td.Session(path)
for given in session.inputs:
    print(given.name, given.dtype, given.shape)
print(session.output_names)

# %% [markdown]
# ## A run
#
# Inputs and outputs are dictionaries of arrays. The first run compiles kernels that serve every
# batch size, as far as one algorithm does (images that come alone may get kernels of their own);
# another size is then only planned. What was compiled once is found on disk by the next process.

# %%
rng = np.random.default_rng(0)
for batch in (1, 4, 1):
    images = rng.standard_normal((batch, 3, 64, 64), dtype=np.float32)
    start = time.perf_counter()
    logits = session.run({"images": images})["logits"]
    taken = time.perf_counter() - start
    print(f"batch {batch}: {logits.shape} after {1e3 * taken:.1f} ms")
print(session.compiled_count, "batch sizes were compiled")

# %% [markdown]
# The same model in ONNX's own reference implementation, in numpy:

# %%
wanted = ReferenceEvaluator(str(path)).run(None, {"images": images})[0]
np.testing.assert_allclose(logits, wanted, rtol=1e-3, atol=1e-4 * float(np.abs(wanted).max()))

# %% [markdown]
# ## What became of it
#
# The report tells what each pass did, how many kernels are left of how many operators, how large
# the one arena for all intermediate arrays is, and what was not fused, with the reason.

# %%
print(session.report)
print(session.report.fusion)

# %% [markdown]
# ## Where the time goes
#
# A profile lists the kernels, the slowest first; as a trace it opens in chrome://tracing or in
# https://ui.perfetto.dev. Each entry knows the model's nodes that it stands for. On the command
# line: `tdsl bench MODEL.onnx --profile --trace FILE`.

# %%
profile = session.profile({"images": images})
print(profile)
slowest = max(profile.entries, key=lambda entry: entry.seconds)
print("the slowest is", ", ".join(slowest.sources))
(FOLDER / "small.trace.json").write_text(profile.chrome_trace(), encoding="utf-8")

# %% [markdown]
# ## Wrong inputs
#
# Names, types and shapes are checked before anything runs.

# %%
for feeds in (
    {"image": images},
    {"images": images.astype(np.float64)},
    {"images": images[:, :, :32]},
):
    try:
        session.run(feeds)
    except td.TdslError as refusal:
        print(f"{type(refusal).__name__}: {refusal.message} (help: {refusal.hint})")

# %% [markdown]
# ## Operators that are missing
#
# A model with operators that tdsl does not know is refused as a whole, with all of them at once.

# %%
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
nodes = [
    helper.make_node("Relu", ["x"], ["a"]),
    helper.make_node("Swizzle", ["a"], ["b"], "mixer", domain="com.example"),
    helper.make_node("StringSplit", ["b"], ["y", "n"], "splitter"),
]
opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
model = helper.make_model(helper.make_graph(nodes, "odd", [x], [y]), opset_imports=opsets)
onnx.save(model, str(FOLDER / "odd.onnx"))
try:
    td.Session(FOLDER / "odd.onnx")
except td.TdslError as refusal:
    print(refusal)

# %% [markdown]
# ## Without a file
#
# `td.graph.Graph` builds the same kind of model operator by operator.

# %%
g = td.graph.Graph()
hidden = g.matmul(g.input("v", (8, 16)), g.constant(rng.standard_normal((16, 32), np.float32)))
g.output("p", g.softmax(g.apply("relu", hidden)))
by_hand = td.Session(g)
print(by_hand.report)
print(by_hand.run({"v": np.ones((8, 16), np.float32)})["p"].sum(axis=1))

# %% [markdown]
# ## Without Python
#
# `td.export_model` makes a C library of a model, its weights included; on the command line:
# `tdsl build MODEL.onnx -s batch=1 --out FOLDER`. Another processor can be the target, too.

# %%
library = td.export_model(g, FOLDER, name="layer")
print(library)
print(library.header.read_text(encoding="utf-8").rpartition("static inline")[2])

# %% [markdown]
# ## Another device
#
# `td.Session(path, target="opencl")` runs the same model on an OpenCL device (`tdsl devices` lists
# them), each kernel under the default schedule for it.
