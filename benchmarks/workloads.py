"""The table of workloads: what every peer computes, and what that costs at least."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Arithmetic(StrEnum):
    """Which of the machine's peaks bounds a row; each has a ``limit_fma_*`` row of its own."""

    F32 = "f32"
    BF16 = "bf16"
    U8S8 = "u8s8"


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the table.

    ``kind`` names the computation (``references.FAMILIES`` holds its inputs and its numpy check),
    ``shape`` its sizes, ``flops`` and ``bytes`` the least it can cost: every input read once and
    every output written once. ``tolerance`` bounds max|result - reference| / max|reference|.
    """

    name: str
    group: str
    kind: str
    shape: Mapping[str, int]
    flops: float
    bytes: float
    tolerance: float = 2e-4
    arithmetic: Arithmetic = Arithmetic.F32
    aliases: tuple[str, ...] = field(default=())

    @property
    def family(self) -> str:
        """The file of ``benchmarks/kernels`` that computes this row."""
        return "dwconv" if self.group == "dwconv" else self.kind

    def to_json(self) -> dict[str, object]:
        """The row as the workers and the peers' own code see it: one flat dictionary."""
        return {
            "name": self.name,
            "group": self.group,
            "kind": self.kind,
            "family": self.family,
            "flops": self.flops,
            "bytes": self.bytes,
            **self.shape,
        }


def _row(
    name: str,
    group: str,
    kind: str,
    cost: tuple[float, float],
    shape: Mapping[str, int],
    *,
    tolerance: float = 2e-4,
    arithmetic: Arithmetic = Arithmetic.F32,
    aliases: tuple[str, ...] = (),
) -> Workload:
    frozen = MappingProxyType(dict(shape))
    return Workload(
        name, group, kind, frozen, float(cost[0]), float(cost[1]), tolerance, arithmetic, aliases
    )


def _gemm(m: int, n: int, k: int) -> Workload:
    aliases = (f"gemm_{m}",) if m == n == k else ()
    cost = 2 * m * n * k, 4 * (m * k + k * n + m * n)
    return _row(
        f"gemm_{m}x{n}x{k}", "gemm", "gemm", cost, {"m": m, "n": n, "k": k}, aliases=aliases
    )


def _gemm_variant(kind: str, size: int, element_bytes: int = 4) -> Workload:
    """A product that only tdsl has a row of, beside the plain one of the same shape.

    A float64 operation counts as two: vectors hold half as many.
    """
    cost = 2 * size**3 * (element_bytes // 4), element_bytes * 3 * size**2
    return _row(f"{kind}_{size}", "gemm_variants", kind, cost, {"m": size, "n": size, "k": size})


def _attention(h: int, s: int, d: int) -> Workload:
    cost = 4 * h * s * s * d, 4 * h * 4 * s * d
    return _row(f"attn_h{h}_s{s}_d{d}", "attn", "attn", cost, {"h": h, "s": s, "d": d})


def _conv(cin: int, cout: int, hw: int, r: int, st: int) -> Workload:
    return _conv_row(f"conv_{cin}to{cout}_{r}x{r}s{st}_{hw}", "conv", cin, cout, hw, r, st, g=1)


def _depthwise(c: int, hw: int, st: int) -> Workload:
    return _conv_row(f"dw_{c}_3x3s{st}_{hw}", "dwconv", c, c, hw, 3, st, g=c)


def _conv_row(
    name: str, group: str, cin: int, cout: int, hw: int, r: int, st: int, g: int
) -> Workload:
    pad = r // 2
    o = (hw + 2 * pad - r) // st + 1
    flops = 2 * cout * o * o * (cin // g) * r * r
    nbytes = 4 * (cin * hw * hw + cout * o * o + cout * (cin // g) * r * r)
    shape = {"cin": cin, "cout": cout, "hw": hw, "r": r, "st": st, "pad": pad, "o": o, "g": g}
    return _row(name, group, "conv", (flops, nbytes), shape)


def _model(name: str, flops: float, nbytes: float) -> Workload:
    return _row(f"model_{name}", "models", "model", (flops, nbytes), {}, tolerance=1e-3)


# (inputs, outputs, kernel, stride) of every distinct convolution of ResNet-50
_RESNET50_CONVOLUTIONS = (
    (3, 64, 224, 7, 2), (64, 64, 56, 1, 1), (64, 64, 56, 3, 1), (64, 256, 56, 1, 1),
    (256, 64, 56, 1, 1), (256, 128, 56, 1, 1), (128, 128, 56, 3, 2), (128, 512, 28, 1, 1),
    (256, 512, 56, 1, 2), (512, 128, 28, 1, 1), (128, 128, 28, 3, 1), (512, 256, 28, 1, 1),
    (256, 256, 28, 3, 2), (256, 1024, 14, 1, 1), (512, 1024, 28, 1, 2), (1024, 256, 14, 1, 1),
    (256, 256, 14, 3, 1), (1024, 512, 14, 1, 1), (512, 512, 14, 3, 2), (512, 2048, 7, 1, 1),
    (1024, 2048, 14, 1, 2), (2048, 512, 7, 1, 1), (512, 512, 7, 3, 1),
)  # fmt: skip
# (channels, image, stride) of the depthwise convolutions of MobileNetV2
_MOBILENET_DEPTHWISE = (
    (32, 112, 1), (96, 112, 2), (144, 56, 1), (144, 56, 2), (192, 28, 1), (192, 28, 2),
    (384, 14, 1), (576, 14, 1), (576, 14, 2), (960, 7, 1),
)  # fmt: skip
_GEMMS = (
    *((s, s, s) for s in (64, 128, 256, 512, 1024, 2048)),
    (1, 4096, 4096), (16, 4096, 4096), (127, 255, 511), (384, 768, 3072),
    (3136, 64, 576), (49, 2048, 512), (1000, 1, 1000),
)  # fmt: skip
_M1, _M16 = 1 << 20, 16 << 20
_HD, _PHOTO = 1536 * 2560, 1920 * 2560  # pixels
_GRID = {"h": 4096, "w": 4096}
_SQUARE = {"r": 4096, "c": 4096}
_CUBE = {"m": 1024, "n": 1024, "k": 1024}
_BMM_COST = 2 * 12 * 384 * 384 * 64, 4 * 12 * (2 * 384 * 64 + 384 * 384)
_BERT_FLOPS = 12 * (2 * 128 * 768 * 768 * 12 + 4 * 12 * 128 * 128 * 64)
_GPT2_FLOPS = 2 * (12 * 12 * 768 * 768 + 50257 * 768) + 12 * 4 * 12 * 257 * 64

# (name, group, kind, (flops, bytes), shape, what differs from the defaults)
WORKLOADS: tuple[Workload, ...] = (
    *(_gemm(*size) for size in _GEMMS),
    *(_gemm_variant("gemm_sym", size) for size in (256, 512, 1024)),
    *(_gemm_variant(kind, 1024) for kind in ("gemm_tn", "gemm_relu")),
    _gemm_variant("gemm_f64", 1024, element_bytes=8),
    _row("bmm_12x384x64x384", "attn", "bmm", _BMM_COST, {"b": 12, "m": 384, "k": 64, "n": 384}),
    _attention(12, 384, 64),
    _attention(12, 1024, 64),
    *(_conv(*size) for size in _RESNET50_CONVOLUTIONS),
    *(_depthwise(*size) for size in _MOBILENET_DEPTHWISE),
    _row("elem_relu_fma_add_16M", "mem", "elem", (4 * _M16, 12 * _M16), {"n": _M16}),
    _row("softmax_1024x4096", "mem", "softmax", (20 * _M1, 32 * _M1), {"r": 1024, "c": 4096}),
    _row("layernorm_4096x768", "mem", "layernorm", (24 * _M1, 24 * _M1), {"r": 4096, "c": 768}),
    _row("rowsum_4096x4096", "mem", "rowsum", (_M16, 4 * _M16), _SQUARE),
    _row("argmax_4096x4096", "mem", "argmax", (_M16, 4 * _M16), _SQUARE, tolerance=0),
    _row("transpose_4096x4096", "mem", "transpose", (0, 8 * _M16), _SQUARE, tolerance=0),
    _row("cumsum_1M", "mem", "cumsum", (_M1, 8 * _M1), {"n": _M1}),
    _row("blur3x3_u16_2560x1920", "image", "blur", (6 * _PHOTO, 4 * _PHOTO),
         {"h": 1920, "w": 2560}, tolerance=0, aliases=("blur3x3",)),
    _row("unsharp_f32_3x1536x2560", "image", "unsharp", (40 * _HD, 24 * _HD),
         {"h": 1536, "w": 2560}, aliases=("unsharp",)),
    _row("jacobi5_2048x2048", "image", "jacobi", (20 * _M1, 32 * _M1),
         {"h": 2048, "w": 2048}, aliases=("jacobi5",)),
    _row("harris_f32_3x1536x2560", "image", "harris", (60 * _HD, 16 * _HD),
         {"h": 1536, "w": 2560}, aliases=("harris",)),
    *(_row(f"{kind}_4096x4096", "pipeline", kind, (40 * _M16, 8 * _M16), _GRID)
      for kind in ("chain8", "chain8_flat")),
    *(_row(f"{kind}_4096x4096", "pipeline", kind, (100 * _M16, 8 * _M16), {**_GRID, "steps": 20})
      for kind in ("jacobi20", "jacobi20_flat")),
    _row("bilateral_grid_1536x2560", "pipeline", "bilateral", (110 * _HD, 8 * _HD),
         {"h": 2560, "w": 1536}, tolerance=1e-3),
    _row("local_laplacian_1536x2560", "pipeline", "local_laplacian", (600 * _HD, 12 * _HD),
         {"h": 2560, "w": 1536}, tolerance=2e-3),
    _row("camera_pipe_2560x1920", "pipeline", "camera", (90 * _PHOTO, 5 * _PHOTO),
         {"h": 1920, "w": 2560}, tolerance=5e-3),
    _row("int8_gemm_1024_u8s8s32", "lowp", "gemm_i8", (2 << 30, 6 << 20), _CUBE,
         tolerance=0, arithmetic=Arithmetic.U8S8, aliases=("int8_gemm_1024",)),
    _row("bf16_gemm_1024", "lowp", "gemm_bf16", (2 << 30, 6 << 20), _CUBE,
         tolerance=2e-2, arithmetic=Arithmetic.BF16),
    _row("add_4floats_call_overhead", "overhead", "tiny", (4, 48), {"n": 4},
         aliases=("call_overhead",)),
    _model("resnet18", 3.63e9, 47e6),
    _model("resnet50", 8.18e9, 102e6),
    _model("mobilenet_v2", 0.60e9, 14e6),
    _model("bert_base_s128", _BERT_FLOPS, 340e6),
    _model("gpt2_step_kv256", _GPT2_FLOPS, 513e6),
)  # fmt: skip


def _limit(what: str, flops: float = 0, nbytes: float = 0) -> Workload:
    return _row(f"limit_{what}", "limits", "limit", (flops, nbytes), {})


# Per thread, for the plug-in of the same name; flops and bytes are what one call of it does.
LIMITS: tuple[Workload, ...] = (
    _limit("fma_f32", flops=4e9),
    _limit("fma_bf16", flops=8e9),
    _limit("fma_u8s8", flops=16e9),
    _limit("read_l2", nbytes=2 << 30),
    _limit("read_l3", nbytes=1 << 30),
    _limit("read_dram", nbytes=128 << 20),
    _limit("copy_dram", nbytes=256 << 20),
    _limit("copy_nt_dram", nbytes=256 << 20),
)

QUICK = (
    "gemm_256", "gemm_1024", "gemm_16x4096x4096", "attn_h12_s384_d64", "conv_64to64_3x3s1_56",
    "dw_32_3x3s1_112", "elem_relu_fma_add_16M", "softmax_1024x4096", "layernorm_4096x768",
    "rowsum_4096x4096", "transpose_4096x4096", "cumsum_1M", "blur3x3", "unsharp", "jacobi5",
    "harris", "call_overhead",
)  # fmt: skip


class UnknownRowError(ValueError):
    """No workload, alias or group has the given name."""


def select(names: Iterable[str], table: tuple[Workload, ...] = WORKLOADS) -> tuple[Workload, ...]:
    """The rows that *names* stand for, each once, in the order of the table.

    A name is a row, an alias of one, a group (``gemm``), ``quick`` or ``all`` (but the models,
    which want files that their exporter writes).

    >>> [w.name for w in select(["gemm_1024", "blur3x3"])]
    ['gemm_1024x1024x1024', 'blur3x3_u16_2560x1920']
    """
    chosen: set[str] = set()
    for name in names:
        if name == "quick":
            chosen |= {w.name for w in select(QUICK, table)}
            continue
        found = {
            w.name
            for w in table
            if name in (w.name, w.group, *w.aliases) or (name == "all" and w.group != "models")
        }
        if not found:
            groups = ", ".join(dict.fromkeys(w.group for w in table))
            near = [w.name for w in table if name.split("_", maxsplit=1)[0] in w.name]
            hint = f"; did you mean one of {', '.join(near[:8])}?" if near else ""
            raise UnknownRowError(
                f"no row, alias or group is called {name!r}{hint} Groups: {groups}, quick, all."
            )
        chosen |= found
    return tuple(w for w in table if w.name in chosen)
