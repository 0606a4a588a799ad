"""Random cases of graph operators: a graph of one, arrays, and what numpy makes of them."""

from dataclasses import dataclass

import numpy as np

import tdsl as td
from tdsl.graph import Graph

EXTENTS = [0, 1, 1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 23, 31, 33]
FLOATS = ["float32", "float32", "float64", "float16"]
NUMBERS = [*FLOATS, "int8", "uint8", "int16", "int32", "int64"]
TOLERANCES = {"float16": 4e-3, "float32": 3e-5, "float64": 1e-11}


@dataclass
class Case:
    """A Graph or an ONNX model with outputs y0, y1, ...; `wants` may be of a wider type."""

    model: object
    feeds: dict
    wants: list
    tolerance: float | None = None
    about: str = ""


CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


class Draw:
    """Random sizes, arrays and inputs of a graph."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.g = Graph()
        self.feeds = {}
        self.names = []  # of operands in order; "" where one is left out

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def flag(self, chance=0.5):
        return bool(self.rng.random() < chance)

    def pick(self, *values):
        return values[self.integer(0, len(values) - 1)]

    def extent(self, most=33, least=0):
        return int(self.rng.choice([n for n in EXTENTS if least <= n <= most]))

    def shape(self, low, high, most=33, least=0):
        return tuple(self.extent(most, least) for _ in range(self.integer(low, high)))

    def axis(self, rank):
        return self.integer(0, rank - 1)

    def array(self, shape, dtype="float32", low=-3, high=3):
        kind = np.dtype(dtype)
        if kind.kind == "b":
            return self.rng.integers(0, 2, shape).astype(bool)
        if kind.kind in "iu":
            return self.rng.integers(max(low, 0 if kind.kind == "u" else low), high, shape, kind)
        return np.asarray(self.rng.uniform(low, high, shape)).astype(kind)

    def given(self, array):
        """An input of the graph with this value."""
        name = f"x{len(self.feeds)}"
        self.names.append(name)
        array = np.asarray(array)
        value = self.g.input(name, array.shape, array.dtype.name)
        self.feeds[name] = array
        return value

    def skip(self):
        """An operand that is left out."""
        self.names.append("")

    def tensor(self, shape, dtype="float32", low=-3, high=3):
        array = self.array(shape, dtype, low, high)
        return self.given(array), array

    def onnx(self, kind, wants, *, tolerance=None, opset=21, about="", constants=(), **attributes):
        """A model of one node that reads all that was given; `constants` are no inputs of it."""
        from onnx import helper, numpy_helper

        outputs = [f"y{n}" for n in range(len(wants))]
        names = [name if name in self.feeds else "" for name in self.names]
        node = helper.make_node(kind, names, outputs, **attributes)
        kinds = {n: helper.np_dtype_to_tensor_dtype(a.dtype) for n, a in self.feeds.items()}
        infos = [
            helper.make_tensor_value_info(n, kinds[n], a.shape)
            for n, a in self.feeds.items()
            if n not in constants
        ]
        fixed = [numpy_helper.from_array(self.feeds[n], n) for n in constants]
        results = [helper.make_tensor_value_info(n, 1, None) for n in outputs]
        graph = helper.make_graph([node], kind, infos, results, fixed)
        versions = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=10)
        feeds = {n: a for n, a in self.feeds.items() if n not in constants}
        return Case(model, feeds, wants, tolerance, f"{kind} {about} {attributes}")

    def done(self, outputs, wants, tolerance=None, about=""):
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        for n, value in enumerate(outputs):
            self.g.output(f"y{n}", value)
        wants = wants if isinstance(wants, list) else [wants]
        return Case(self.g, self.feeds, wants, tolerance, about)


def run(name, seed):
    """Raises AssertionError where the results differ in shape, or in value by more than allowed."""
    made = CASES[name](Draw([seed, *name.encode()]))
    got = td.Session(made.model).run(made.feeds)
    shapes = {name: (a.shape, a.dtype.name) for name, a in made.feeds.items()}
    for n, wanted in enumerate(made.wants):
        one, want = got[f"y{n}"], np.asarray(wanted)
        label = f"{name} seed {seed} {made.about} {shapes} output {n}"
        assert one.shape == want.shape, f"shape {one.shape}, not {want.shape}: {label}"
        if one.dtype.kind in "biu":
            np.testing.assert_array_equal(one, want.astype(one.dtype), err_msg=label)
            continue
        limit = made.tolerance or TOLERANCES[one.dtype.name]
        scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
        np.testing.assert_allclose(
            one.astype("d"), want.astype("d"), rtol=limit, atol=limit * scale, err_msg=label
        )
