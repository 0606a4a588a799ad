"""ResNet-18 (He et al. 2015) written down operator by operator as an ONNX model.

The weights are drawn from a seed: the model classifies nothing, but computes exactly what a trained
one does, at the same speed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Stages = tuple[tuple[int, int], ...]

STAGES: Stages = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride of the first block
BLOCKS = 2  # of each stage
CLASSES = 1000


class ResNet18:
    """The model under construction; each method adds operators and names their result."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def weight(self, array: np.ndarray) -> str:
        """Add an array of weights."""
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def convolution(
        self, x: str, channels: tuple[int, int], kernel: int, stride: int, gain: float = 1.0
    ) -> str:
        """A convolution without bias, then batch normalisation."""
        given, made = channels
        scale = np.sqrt(2 / (given * kernel * kernel))
        weight = self._random.normal(0, scale, (made, given, kernel, kernel))
        y = self.op(
            "Conv", x, self.weight(weight),
            kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4,
        )  # fmt: skip
        uniform, normal = self._random.uniform, self._random.normal
        norm = (gain * uniform(0.8, 1.2, made), normal(0, 0.1, made))
        statistics = (normal(0, 0.1, made), uniform(0.8, 1.2, made))
        return self.op("BatchNormalization", y, *(self.weight(a) for a in (*norm, *statistics)))

    def block(self, x: str, given: int, made: int, stride: int) -> str:
        """Two convolutions and a shortcut around them."""
        y = self.op("Relu", self.convolution(x, (given, made), 3, stride))
        y = self.convolution(y, (made, made), 3, 1, gain=0.5)
        if (given, stride) != (made, 1):
            x = self.convolution(x, (given, made), 1, stride)
        return self.op("Relu", self.op("Add", y, x))

    def model(self, batch: int | str, size: int, stages: Stages) -> onnx.ModelProto:
        """All of it: images[batch, 3, size, size] to logits[batch, 1000]."""
        x = self.op("Relu", self.convolution("images", (3, stages[0][0]), 7, 2))
        x = self.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        given = stages[0][0]
        for channels, stride in stages:
            for number in range(BLOCKS):
                x = self.block(x, given, channels, 1 if number else stride)
                given = channels
        x = self.op("Flatten", self.op("GlobalAveragePool", x))
        classifier = self._random.normal(0, 1 / np.sqrt(given), (CLASSES, given))
        bias = self.weight(self._random.normal(0, 0.01, CLASSES))
        last = self.op("Gemm", x, self.weight(classifier), bias, transB=1)
        self._nodes[-1].output[0] = last = "logits"
        graph = helper.make_graph(
            self._nodes,
            "resnet18",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, size, size])],
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, CLASSES])],
            self._weights,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tdsl"
        )


def export(
    path: Path,
    batch: int | str = 1,
    size: int = 224,
    stages: Stages = STAGES,
    seed: int = 0,
) -> Path:
    """Write the model; the same seed gives the same file.

    Args:
        path: where to.
        batch: how many images at once; a name leaves it open until the model is run.
        size: height and width of the images.
        stages: channels, and stride of the first block, of each stage; by default ResNet-18's.
        seed: of the weights.
    """
    model = ResNet18(seed).model(batch, size, stages)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
