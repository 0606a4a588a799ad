import pytest

from tdsl.target import CPUS, TargetError, TargetKind, host, target


def test_llvm_is_this_machine():
    assert target("llvm") is target(None) is host()
    assert host().is_native
    assert host().cores >= 1
    assert host().l1 <= host().l2


@pytest.mark.parametrize("cpu", CPUS)
def test_every_named_processor_has_a_vector_unit(cpu):
    found = target(f"llvm -mcpu={cpu}")
    assert found.cpu == cpu
    assert found.lanes(32) * 32 == found.vector_bits
    assert found.vector_registers in (16, 32)


def test_unknown_processor_is_refused_with_close_names():
    with pytest.raises(TargetError, match="unknown processor 'znver44'") as caught:
        target("llvm -mcpu=znver44")
    assert "znver4" in str(caught.value)


def test_unknown_target_is_refused():
    with pytest.raises(TargetError, match="unknown target 'lvm'") as caught:
        target("lvm")
    assert "did you mean 'llvm'?" in str(caught.value)


def test_opencl_names_its_device():
    assert target("opencl:pocl").kind is TargetKind.OPENCL
    assert target("opencl:pocl").cpu == "pocl"
