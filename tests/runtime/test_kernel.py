"""What a kernel offers besides being called."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

from tdsl.runtime import kernel as kernel_module
from tdsl.runtime.errors import ArgumentTypeError, ArgumentValueError
from tdsl.runtime.kernel import Kernel
from tdsl.runtime.native import layout
from tdsl.runtime.packed import PackedArray
from tests.runtime import kernels
from tests.runtime.kernels import array, output, signature, slow_only


@pytest.fixture(scope="module")
def add():
    return kernels.add_kernel()


def test_a_kernel_shows_its_signature(add):
    assert repr(add) == "<Kernel add(a: float32[N], b: float32[N]) -> c: float32[N]>"
    assert isinstance(add, Kernel)
    assert add.signature.sizes == ("N",)
    assert callable(add)
    assert len(add.digest) == 64


def test_sources(add):
    assert "define i32 @add" in add.source("llvm")
    with pytest.raises(ArgumentValueError, match="has no source 'asm'") as caught:
        add.source("asm")
    assert "one of llvm" in str(caught.value)


def test_a_lazy_source_is_made_when_it_is_asked_for(add):
    asked = []
    lazy = Kernel(add._caller, add.digest, {"asm": lambda: asked.append(1) or "text"}, {})
    assert not asked
    assert lazy.source("asm") == "text"


def test_time_measures_seconds_per_call(add):
    a = np.ones(1000, np.float32)
    times = add.time(a, a, repeat=3, min_repeat_ms=1)
    assert len(times) == 3
    assert all(1e-9 < seconds < 1e-3 for seconds in times)
    assert len(add.time(a, a, number=2, repeat=1)) == 1
    out = np.zeros(1000, np.float32)
    add.time(a, a, number=1, repeat=1, out=out)
    assert (out == 2).all()


def test_time_checks_its_arguments(add):
    a = np.ones(4, np.float32)
    with pytest.raises(TypeError, match="'b' is a list"):
        add.time(a, [1])
    with pytest.raises(ArgumentValueError, match="number=0"):
        add.time(a, a, number=0)
    with pytest.raises(ArgumentValueError, match="repeat=0"):
        add.time(a, a, repeat=0)


def test_time_reports_a_failing_kernel():
    with pytest.raises(RuntimeError, match="code 9"):
        kernels.failing_kernel().time(np.array([9], np.int32), number=5)


def test_a_dropped_kernel_goes_at_once():
    kernel = kernels.add_kernel()
    watch = weakref.ref(kernel)
    gc.collect()
    gc.disable()
    try:
        del kernel
        assert watch() is None
    finally:
        gc.enable()


def test_many_kernels_come_and_go():
    a = np.ones(3, np.float32)
    alive = []
    for turn in range(30):
        alive.append(kernels.add_kernel(has_entry=bool(turn % 2)))
        del alive[:-3]
        assert all((kernel(a, a) == 2).all() for kernel in alive)


def test_a_kernel_is_not_copied(add):
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(ArgumentTypeError, match="cannot be copied or pickled"):
            attempt(add)


def test_an_interpreter_with_another_struct_layout_uses_the_python_path(monkeypatch):
    monkeypatch.setattr(layout, "fast_path_reason", lambda: "for this test")
    for has_entry in (True, False):
        kernel = kernels.add_kernel(has_entry=has_entry)
        assert type(kernel) is Kernel
        a = np.ones(3, np.float32)
        np.testing.assert_array_equal(kernel(a, a), 2)


def test_a_wrong_layout_would_be_noticed(monkeypatch):
    monkeypatch.setattr(layout, "ARRAY_FLAGS", layout.ARRAY_FLAGS + 8)
    layout.fast_path_reason.cache_clear()
    assert "array struct of numpy" in layout.fast_path_reason()
    monkeypatch.undo()
    layout.fast_path_reason.cache_clear()
    assert layout.fast_path_reason() is None


def test_one_kernel_in_many_threads(add):
    failures = []

    def work(number):
        a = np.full(50, number, np.float32)
        results = [add(a, a) == 2 * number for _ in range(500)]
        failures.extend(result for result in results if not result.all())

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# -- packed inputs -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packing():
    """y = x + B, where the kernel keeps B doubled, in pairs."""
    pairs = kernels.Dim((("K", 2),))
    half = kernels.Dim((("K", 1),))
    pack_sig = signature("pack", array("B", pairs), output("packed", half, 2))
    packer = kernels.load(
        pack_sig,
        kernels.flat_loop(pack_sig, "  %d = fmul float %x0, 2.0\n  store float %d, ptr %at1"),
    )
    sig = signature("use", array("x", pairs), array("B", half, 2), output("y", pairs))
    body = """
  %half = fmul float %x1, 0.5
  %sum = fadd float %x0, %half
  store float %sum, ptr %at2"""
    return kernels.load(sig, kernels.flat_loop(sig, body), packers={"B": packer})


def test_a_packed_array_takes_the_place_of_the_array(packing):
    x, b = np.arange(6, dtype=np.float32), np.ones(6, np.float32)
    packed = packing.pack("B", b)
    assert isinstance(packed, PackedArray)
    assert packed.array.shape == (3, 2)
    assert packed.nbytes == 24
    for kernel in (packing, slow_only(packing)):
        np.testing.assert_array_equal(kernel(x, packed), x + 1)
        y = np.zeros(6, np.float32)
        assert kernel(x, packed, out=y) is y


def test_an_unpacked_array_is_packed_by_the_call(packing):
    x, b = np.arange(6, dtype=np.float32), np.ones(6, np.float32)
    np.testing.assert_array_equal(packing(x, b), x + 1)


def test_an_array_in_the_packed_shape_is_not_taken_for_a_packed_one(packing):
    x = np.arange(6, dtype=np.float32)
    with pytest.raises(ArgumentValueError, match="argument 'B' has 2 dimensions"):
        packing(x, np.ones((3, 2), np.float32))


def test_an_array_that_another_kernel_packed(packing, add):
    stranger = PackedArray(np.ones((3, 2), np.float32), "other")
    with pytest.raises(ArgumentTypeError, match="was packed by other; this kernel takes what pack"):
        packing(np.ones(6, np.float32), stranger)
    with pytest.raises(ArgumentTypeError, match="packed by other; this kernel takes it unpacked"):
        add(np.ones(6, np.float32), stranger)


def test_a_packed_array_of_another_size(packing):
    packed = packing.pack("B", np.ones(8, np.float32))
    with pytest.raises(ArgumentValueError, match="K = 4 from argument 'B', dimension 0"):
        packing(np.ones(6, np.float32), packed)


def test_only_packed_inputs_can_be_packed(packing, add):
    with pytest.raises(ArgumentValueError, match="takes 'x' as it is; packed inputs: B"):
        packing.pack("x", np.ones(6, np.float32))
    with pytest.raises(ArgumentValueError, match="packed inputs: none"):
        add.pack("a", np.ones(6, np.float32))


def test_a_packed_array_is_read_only(packing):
    packed = packing.pack("B", np.ones(6, np.float32))
    with pytest.raises(ValueError, match="read-only"):
        packed.array[0] = 3
    with pytest.raises(AttributeError, match="read-only"):
        packed._array = None
    with pytest.raises(AttributeError, match="read-only"):
        del packed._tag
    assert repr(packed).startswith("<PackedArray float32 3x2, packed by pack(B)")


def test_packing_again_with_the_same_packer_fits(packing):
    twin = kernel_module.load_kernel(
        packing.signature,
        kernels.compile_ir(packing.source("llvm")),
        "use",
        packers=packing._packers,
    )
    packed = twin.pack("B", np.ones(6, np.float32))
    np.testing.assert_array_equal(packing(np.zeros(6, np.float32), packed), 1)
