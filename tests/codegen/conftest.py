import pytest

from tests.codegen.machine import run_program


@pytest.fixture
def run():
    """Run a program of loops and stores through code generation, straight from ir nodes."""
    return run_program
