"""Random models, and what numpy makes of them without any pass."""

import numpy as np

from tdsl.graph import Graph, Window
from tdsl.graph.bodies import evaluate

UNARY = ("relu", "sigmoid", "tanh", "neg", "abs", "identity")
BINARY = ("add", "sub", "mul", "max", "min")


class RandomGraph:
    """Draws operators on images [batch, channels, height, width] and on whatever they become."""

    def __init__(self, seed, size=12):
        self.random = np.random.default_rng(seed)
        self.graph = Graph()
        shape = (int(self.random.integers(1, 3)), int(self.random.choice([1, 3, 4, 8])), 6, 5)
        self.values = [self.graph.input("x", shape)]
        makers = [self.unary, self.binary, self.with_constant, self.scaled, self.again]
        makers += [self.conv, self.conv, self.norm, self.transpose, self.reshape, self.cut]
        makers += [self.joined, self.pool, self.reduce, self.softmax, self.product, self.gather]
        while len(self.values) < size:
            made = self.pick(makers)(self.value())
            if made is not None and made.count <= 4096:
                self.values.append(made)
        used = {id(v) for made in self.values for n in self.graph.makers(made) for v in n.inputs}
        ends = [v for v in self.values if id(v) not in used]
        kept = [value for value in ends if self.random.random() < 0.8]
        for n, value in enumerate([*kept, self.value()]):
            self.graph.output(f"y{n}", value)
        self.model = self.graph.build()
        self.feeds = {"x": self.array(shape)}

    def pick(self, options):
        return options[int(self.random.integers(len(options)))]

    def value(self):
        return self.pick(self.values)

    def array(self, shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def constant(self, *shape):
        return self.graph.constant(self.array(shape))

    def unary(self, x):
        return self.graph.apply(self.pick(UNARY), x)

    def binary(self, x):
        others = [v for v in self.values if v.shape == x.shape]
        return self.graph.apply(self.pick(BINARY), x, self.pick(others))

    def with_constant(self, x):
        shape = tuple(n if self.random.random() < 0.5 else 1 for n in x.shape)
        operands = [x, self.pick([self.constant(*shape), self.graph.constant(np.float32(2))])]
        if self.random.random() < 0.3:
            operands.reverse()
        return self.graph.apply(self.pick(BINARY), *operands)

    def scaled(self, x):
        """A factor and a shift that change nothing, or that a constant makes up for."""
        g = self.graph
        one = g.apply("mul", x, g.constant(np.ones((), np.float32)))
        return g.apply("add", one, g.constant(np.zeros(x.shape[-1:], np.float32)))

    def again(self, x):
        """The same work twice."""
        first, second = (self.graph.apply("relu", x) for _ in range(2))
        return self.graph.apply("add", first, second)

    def conv(self, x):
        if len(x.shape) != 4 or min(x.shape) < 1:
            return None
        channels = x.shape[1]
        groups = self.pick([g for g in (1, 1, 2, channels) if channels % g == 0])
        out = groups * int(self.random.integers(1, 5))
        side = int(self.random.choice([1, 3, 3]))
        if min(x.shape[2:]) < side:
            return None
        w = self.constant(out, channels // groups, side, side)
        stride = int(self.random.choice([1, 1, 2]))
        bias = self.pick([None, self.constant(out)])
        return self.graph.conv(
            x, w, groups=groups, strides=stride, pads=self.pick([0, side // 2]), bias=bias
        )

    def norm(self, x):
        if len(x.shape) != 4:
            return None
        channels = x.shape[1]
        scale, bias, mean = (self.constant(channels) for _ in range(3))
        variance = self.graph.constant(np.abs(self.array((channels,))) + 0.5)
        if self.random.random() < 0.3:
            return self.graph.group_norm(x, channels, scale, bias)
        return self.graph.batch_norm(x, scale, bias, mean, variance)

    def transpose(self, x):
        return self.graph.transpose(x, [int(n) for n in self.random.permutation(len(x.shape))])

    def reshape(self, x):
        if len(x.shape) == 4 and self.random.random() < 0.5:
            return self.graph.reshape(x, (x.shape[0], x.count // x.shape[0]))
        cut = int(self.random.integers(len(x.shape) + 1))
        first = int(np.prod(x.shape[:cut], dtype=int))
        return self.graph.reshape(x, (first, x.count // first))

    def cut(self, x):
        axis = int(self.random.integers(len(x.shape)))
        extent = x.shape[axis]
        start = int(self.random.integers(extent))
        step = int(self.random.choice([1, 1, 2]))
        return self.graph.slice(x, [start], [extent], [axis], [step])

    def joined(self, x):
        axis = int(self.random.integers(len(x.shape)))
        rest = x.shape[:axis] + x.shape[axis + 1 :]
        others = [v for v in self.values if len(v.shape) == len(x.shape)]
        fitting = [v for v in others if v.shape[:axis] + v.shape[axis + 1 :] == rest]
        return self.graph.concat([x, self.pick(fitting)], axis)

    def pool(self, x):
        if len(x.shape) != 4 or min(x.shape[2:]) < 2:
            return None
        window = Window.of((2, 2), strides=2)
        pools = [self.graph.max_pool, self.graph.average_pool]
        return self.pick(pools)(x, window)

    def reduce(self, x):
        axes = [n for n in range(len(x.shape)) if self.random.random() < 0.5]
        if not axes or len(axes) == len(x.shape):
            return None
        kind = self.pick(["sum", "mean", "max"])
        return self.graph.reduce(kind, x, axes, keep=bool(self.random.random() < 0.7))

    def softmax(self, x):
        return self.graph.softmax(x, int(self.random.integers(len(x.shape))))

    def product(self, x):
        if len(x.shape) < 2:
            return None
        turned = bool(self.random.random() < 0.5)
        columns = int(self.random.integers(1, 9))
        shape = (columns, x.shape[-1]) if turned else (x.shape[-1], columns)
        return self.graph.matmul(x, self.constant(*shape), transpose_b=turned)

    def gather(self, x):
        axis = int(self.random.integers(len(x.shape)))
        count = int(self.random.integers(1, 4))
        places = self.random.integers(0, x.shape[axis], count)
        return self.graph.gather(x, self.graph.constant(places), axis)


def by_numpy(model, feeds):
    """The outputs of a model, its nodes evaluated one by one."""
    known = dict(model.constants)
    known |= {value: feeds[value.name] for value in model.inputs}
    for node in model.nodes:
        made = evaluate(node.op, [known[v] for v in node.inputs])
        known.update(zip(node.outputs, made, strict=True))
    return {name: known[value] for name, value in model.outputs}
