"""Calls that are right: every path gives what numpy gives."""

import ctypes
import sys

import ml_dtypes
import numpy as np
import pytest

from tdsl.dtypes import ALL
from tdsl.runtime import dlpack, pool
from tests.runtime import kernels
from tests.runtime.kernels import slow_only

BOTH_PATHS = pytest.mark.parametrize(
    "path", [lambda kernel: kernel, slow_only], ids=["fast", "slow"]
)


@pytest.fixture(scope="module")
def add():
    return kernels.add_kernel()


@BOTH_PATHS
@pytest.mark.parametrize("dtype", [dtype.name for dtype in ALL if dtype.name != "bool"])
def test_every_dtype(path, dtype):
    kernel = path(kernels.add_kernel(dtype))
    numpy_dtype = next(d.numpy for d in ALL if d.name == dtype)
    a, b = np.arange(7).astype(numpy_dtype), np.arange(7, 14).astype(numpy_dtype)
    c = kernel(a, b)
    assert c.dtype == numpy_dtype
    np.testing.assert_array_equal(c, a + b)


@BOTH_PATHS
def test_a_fresh_output(add, path):
    a, b = np.ones(5, np.float32), np.arange(5, dtype=np.float32)
    c = path(add)(a, b)
    assert type(c) is np.ndarray
    np.testing.assert_array_equal(c, a + b)


@BOTH_PATHS
def test_a_given_output_is_filled_and_returned(add, path):
    a, b, c = np.ones(5, np.float32), np.arange(5, dtype=np.float32), np.zeros(5, np.float32)
    assert path(add)(a, b, out=c) is c
    np.testing.assert_array_equal(c, a + b)


@BOTH_PATHS
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_more_dimensions(path, rank):
    kernel = path(kernels.add_kernel(rank=rank))
    a = np.random.default_rng(0).random((2, 3, 4, 5)[:rank], np.float32)
    np.testing.assert_array_equal(kernel(a, a[::-1].copy()), a + a[::-1])


@BOTH_PATHS
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_zero_extents(path, shape):
    kernel = path(kernels.add_kernel(rank=2))
    a = np.ones(shape, np.float32)
    assert kernel(a, a.copy()).shape == shape
    c = np.ones(shape, np.float32)
    assert kernel(a, a.copy(), out=c) is c


@BOTH_PATHS
def test_one_array_may_be_two_inputs(add, path):
    a = np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(path(add)(a, a), 2 * a)


@BOTH_PATHS
def test_contiguous_slices_that_touch_do_not_overlap(add, path):
    memory = np.arange(12, dtype=np.float32)
    a, b, c = memory[:4], memory[4:8], memory[8:]
    path(add)(a, b, out=c)
    np.testing.assert_array_equal(memory[8:], [4, 6, 8, 10])


@BOTH_PATHS
def test_several_outputs(path):
    kernel = path(kernels.two_outputs_kernel())
    a, b = np.arange(4, dtype=np.float32), np.ones(4, np.float32)
    result = kernel(a, b)
    assert type(result) is tuple
    np.testing.assert_array_equal(result[0], a + b)
    np.testing.assert_array_equal(result[1], a - b)
    p, m = np.zeros(4, np.float32), np.zeros(4, np.float32)
    given = kernel(a, b, out=(p, m))
    assert given[0] is p
    assert given[1] is m
    np.testing.assert_array_equal(m, a - b)


@BOTH_PATHS
def test_an_inout_argument_is_updated_and_returned(path):
    kernel = path(kernels.increment_kernel())
    x = np.zeros(3, np.float32)
    y = np.arange(3, dtype=np.float32)
    assert kernel(x, y) is x
    kernel(x, y)
    np.testing.assert_array_equal(x, 2 * y)


@BOTH_PATHS
@pytest.mark.parametrize(
    ("dtype", "alpha"),
    [
        ("float32", 2.5),
        ("float32", 3),
        ("float32", np.float64(0.5)),
        ("float32", float("inf")),
        ("float32", np.array(4, np.float32)),
        ("float64", -1.5),
        ("float64", True),
        ("int8", -3),
        ("int32", np.int64(5)),
        ("uint8", 7),
        ("uint64", 2**63),
        ("int64", -(2**62)),
        ("float16", 0.5),
        ("bfloat16", 2),
    ],
)
def test_a_scalar_argument(path, dtype, alpha):
    kernel = path(kernels.scale_kernel(dtype))
    x = np.array([0, 1, 3]).astype(next(d.numpy for d in ALL if d.name == dtype))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(kernel(alpha, x), np.array(alpha).astype(x.dtype) * x)


@BOTH_PATHS
def test_any_strides(path):
    kernel = path(kernels.strided_copy_kernel())
    base = np.arange(48, dtype=np.float32).reshape(6, 8)
    views = [
        base,
        base.T,
        base[::2, ::3],
        base[::-1, ::-1],
        np.broadcast_to(base[0], (5, 8)),
        base[:0],
        base[2:3, 4:5],
    ]
    for view in views:
        np.testing.assert_array_equal(kernel(view), view)


def test_interleaved_input_and_output_are_told_apart():
    kernel = kernels.strided_copy_kernel()
    memory = np.zeros((4, 8), np.float32)
    memory[:, 4:] = 3
    out = np.zeros((2, 4), np.float32)
    kernel(memory[::2, 4:], out=out)
    np.testing.assert_array_equal(out, 3)


def test_a_size_by_keyword():
    kernel = kernels.iota_kernel()
    np.testing.assert_array_equal(kernel(N=4), [0, 1, 2, 3])
    np.testing.assert_array_equal(kernel(N=np.int32(2)), [0, 1])
    out = np.empty(3, np.int64)
    assert kernel(out=out) is out
    np.testing.assert_array_equal(out, [0, 1, 2])
    assert kernel(N=0).shape == (0,)


@BOTH_PATHS
def test_an_affine_dimension_fixes_its_size(path):
    kernel = path(kernels.halves_kernel())
    x = np.arange(9, dtype=np.int32)
    np.testing.assert_array_equal(kernel(x), x[:4])
    np.testing.assert_array_equal(kernel(x, N=4), x[:4])


class Exporter:
    """An array of another library: speaks DLPack and nothing else."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.device


def test_dlpack_in_and_out(add):
    a, b, c = np.ones(3, np.float32), np.arange(3, dtype=np.float32), np.zeros(3, np.float32)
    out = Exporter(c)
    assert add(Exporter(a), Exporter(b), out=out) is out
    np.testing.assert_array_equal(c, a + b)


def make_capsule(struct, name):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(ctypes.addressof(struct), name, None)


class BfloatExporter:
    """A bfloat16 tensor, which numpy's own DLPack reader does not know."""

    dtype = "library.bfloat16"

    def __init__(self, array, strides=True, offset=0):
        self.array = array
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        steps = (ctypes.c_int64 * array.ndim)(*(stride // 2 for stride in array.strides))
        address = array.__array_interface__["data"][0] - offset
        self.tensor = dlpack._Tensor(
            address, 1, 0, array.ndim, 4, 16, 1, shape, steps if strides else None, offset
        )

    def __dlpack__(self):
        return make_capsule(self.tensor, b"dltensor")

    def __dlpack_device__(self):
        return (1, 0)


def test_bfloat16_through_dlpack():
    kernel = kernels.add_kernel("bfloat16", rank=2)
    a = np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16)
    out = np.zeros((2, 3), ml_dtypes.bfloat16)
    kernel(BfloatExporter(a), BfloatExporter(a, strides=False, offset=8), out=BfloatExporter(out))
    np.testing.assert_array_equal(out, a + a)
    with pytest.raises(ValueError, match="'b' is not contiguous"):
        kernel(a, BfloatExporter(np.asfortranarray(a)))
    empty = kernel(a[:0], BfloatExporter(a[:0]))
    assert empty.shape == (0, 3)
    wrong = BfloatExporter(a)
    wrong.tensor.bits = 32
    with pytest.raises(TypeError, match="'b' is a BfloatExporter that cannot be shared"):
        kernel(a, wrong)


class VersionedExporter(BfloatExporter):
    """The same, as of DLPack 1.0."""

    def __init__(self, array, flags=0, major=1):
        super().__init__(array)
        self.versioned = dlpack._VersionedTensor(major, 0, None, None, flags, self.tensor)

    def __dlpack__(self, *, max_version=None):
        assert max_version == (1, 0)
        return make_capsule(self.versioned, b"dltensor_versioned")


def test_bfloat16_through_dlpack_one():
    kernel = kernels.add_kernel("bfloat16")
    a, out = np.ones(3, ml_dtypes.bfloat16), np.zeros(3, ml_dtypes.bfloat16)
    kernel(VersionedExporter(a, flags=1), a, out=VersionedExporter(out))
    np.testing.assert_array_equal(out, 2)
    with pytest.raises(ValueError, match="output 'c' is read-only"):
        kernel(a, a, out=VersionedExporter(out, flags=1))
    with pytest.raises(TypeError, match=r"DLPack version 2\.0 is not known"):
        kernel(a, VersionedExporter(a, major=2))


@pytest.mark.parametrize("dtype", [dtype.name for dtype in ALL if dtype.name != "bfloat16"])
def test_every_dtype_through_dlpack(dtype):
    values = np.arange(6).astype(dtype).reshape(2, 3)
    for shared in (values, values.T, values[:, ::2], values[:0], values[0, 0:1].reshape(())):
        seen = dlpack.view(Exporter(shared))
        np.testing.assert_array_equal(seen, shared)
        assert seen.dtype == shared.dtype
        assert seen.size == 0 or np.shares_memory(seen, shared)
    with pytest.raises(BufferError, match="of no dtype that kernels take"):
        dlpack.view(Exporter(np.ones(2, np.complex64)))


def test_the_buffer_protocol(add):
    a, b = np.ones(3, np.float32), np.arange(3, dtype=np.float32)
    import array

    out = array.array("f", [0, 0, 0])
    add(memoryview(a), b, out=out)
    assert list(out) == [1, 2, 3]


def test_a_memory_mapped_file(add, tmp_path):
    mapped = np.memmap(tmp_path / "a", np.float32, "w+", shape=3)
    mapped[:] = 2
    np.testing.assert_array_equal(add(mapped, np.ones(3, np.float32)), 3)
    add(np.ones(3, np.float32), np.ones(3, np.float32), out=mapped)
    np.testing.assert_array_equal(mapped, 2)


@BOTH_PATHS
def test_bfloat16(path):
    kernel = path(kernels.add_kernel("bfloat16"))
    a = np.array([1, 2, 3], ml_dtypes.bfloat16)
    assert kernel(a, a).dtype == ml_dtypes.bfloat16


def test_equal_dtypes_that_are_different_objects(add):
    kernel = kernels.add_kernel("int64")
    a = np.arange(3, dtype=np.longlong)
    np.testing.assert_array_equal(kernel(a, a), 2 * a)
    tagged = np.arange(3).astype(np.dtype("float32", metadata={"unit": "m"}))
    np.testing.assert_array_equal(add(tagged, tagged), 2 * tagged)


@pytest.mark.parametrize("call", ["fresh", "out", "error", "tuple", "inout", "slow"])
def test_reference_counts_are_exact(add, call):
    two, increment = kernels.two_outputs_kernel(), kernels.increment_kernel()
    a, b, c = (np.ones(4, np.float32) for _ in range(3))
    dtype = a.dtype

    def run():
        match call:
            case "fresh":
                add(a, b)
            case "out":
                add(a, b, out=c)
            case "error":
                with pytest.raises(ValueError, match="overlaps"):
                    add(a, b, out=b)
            case "tuple":
                two(a, b)
                two(a, b, out=(c, np.zeros(4, np.float32)))
            case "inout":
                increment(a, b)
            case "slow":
                add(memoryview(a), b, out=c)

    run()
    counts = [sys.getrefcount(item) for item in (a, b, c, dtype, add, np.ndarray)]
    for _ in range(300):
        run()
    after = [sys.getrefcount(item) for item in (a, b, c, dtype, add, np.ndarray)]
    assert max(abs(x - y) for x, y in zip(after, counts, strict=True)) <= 2


@BOTH_PATHS
def test_a_failing_kernel_leaks_no_output(path):
    kernel = path(kernels.failing_kernel())
    code, out = np.array([9], np.int32), np.zeros(1, np.float32)
    before = sys.getrefcount(out)
    for _ in range(20):
        with pytest.raises(RuntimeError, match="code 9"):
            kernel(code, out=out)
    assert sys.getrefcount(out) <= before + 1


def test_a_separately_compiled_call_path():
    kernel = kernels.add_kernel(has_entry=False)
    a = np.ones(3, np.float32)
    np.testing.assert_array_equal(kernel(a, a), 2)


def test_the_gil_is_released_for_large_arguments():
    import threading

    kernel = kernels.add_kernel(gil_bytes=1)
    a = np.ones(1000, np.float32)
    failures = []

    def work():
        results = [kernel(a, a) == 2 for _ in range(200)]
        failures.extend(result for result in results if not result.all())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# -- large outputs: memory of the pool's allocator ----------------------------------------------

LARGE = 1 << 19  # float32 elements: 2 MiB


def test_a_large_output_reuses_the_memory_of_one_that_is_gone(add):
    pool.release_memory()
    a = np.ones(LARGE, np.float32)
    first = add(a, a)
    address = first.__array_interface__["data"][0]
    assert address % 64 == 0
    assert first.flags.owndata
    del first
    second = add(a, a)
    assert second.__array_interface__["data"][0] == address
    third = add(a, a)
    assert not np.shares_memory(second, third)
    del second, third
    assert pool.release_memory() >= 2 * a.nbytes
    assert np.zeros(LARGE).flags.owndata  # numpy's own allocator is in force again


def test_a_large_output_is_an_ordinary_array(add):
    a = np.ones(LARGE, np.float32)
    c = add(a, a)
    c.resize(2 * LARGE, refcheck=False)
    assert (c[:LARGE] == 2).all()
    assert not c[LARGE:].any()
    c.resize(10, refcheck=False)
    np.testing.assert_array_equal(c, 2)
    view = add(a, a)[5:8]
    np.testing.assert_array_equal(view, 2)


def test_large_outputs_do_not_leak(add):
    a = np.ones(LARGE, np.float32)
    dtype = a.dtype
    add(a, a)
    before = sys.getrefcount(dtype)
    pool.release_memory()
    for _ in range(50):
        add(a, a)
    assert pool.release_memory() < 4 * a.nbytes
    assert abs(sys.getrefcount(dtype) - before) <= 2
