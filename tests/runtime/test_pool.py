"""The thread pool: every iteration once, whatever the threads do; asleep when idle; fork-safe."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from tdsl.runtime import cpus, pool
from tdsl.runtime.errors import ArgumentTypeError, ArgumentValueError
from tests.runtime import kernels


@pytest.fixture(autouse=True)
def restore_threads():
    before = pool.num_threads()
    yield
    pool.set_num_threads(before)


@pytest.fixture(scope="module")
def visit():
    return kernels.parallel_kernel()


def check_visits(kernel, rows, times=1):
    y = np.zeros((rows, 4), np.int64)
    workers = kernel(y)
    for _ in range(times - 1):
        workers = kernel(y)
    assert (y == times).all()
    if rows:
        assert workers.min() >= 0
        assert workers.max() < pool.num_threads()
    return workers


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 100, 4099])
def test_every_iteration_runs_once(visit, threads, rows):
    pool.set_num_threads(threads)
    check_visits(visit, rows, times=20)


def test_a_thread_begins_with_its_own_half(visit):
    pool.set_num_threads(2)
    for _ in range(200):
        workers = check_visits(visit, 4096)
        first, second = workers[:2048], workers[2048:]
        assert second[0] == 1 or (first == 0).all()
        assert first[0] == 0 or (second == 1).all()


def test_the_number_of_threads_may_change_between_calls(visit):
    for threads in [2, 5, 1, 3, 4, 2] * 20:
        pool.set_num_threads(threads)
        assert pool.num_threads() == threads
        check_visits(visit, 50)


def test_a_nested_loop_runs_inline():
    pool.set_num_threads(3)
    check_visits(kernels.parallel_kernel(nested=True), 500, times=20)


@pytest.mark.parametrize("work_ns", [1, 500, 5000, 50_000, 10_000_000])
def test_known_work_changes_how_and_not_what(work_ns):
    pool.set_num_threads(2)
    kernel = kernels.parallel_kernel(work_ns=work_ns)
    for _ in range(50):
        check_visits(kernel, 64)


def test_loops_of_several_python_threads_at_once():
    pool.set_num_threads(2)
    kernel = kernels.parallel_kernel()
    kernel_without_gil = kernel
    failures = []

    def work():
        try:
            for _ in range(100):
                check_visits(kernel_without_gil, 3000)
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def cpu_seconds():
    return sum(os.times()[:2])


def test_an_idle_pool_burns_no_cpu(visit):
    pool.set_num_threads(2)
    check_visits(visit, 1000)
    time.sleep(0.05)
    before = cpu_seconds()
    time.sleep(0.5)
    assert cpu_seconds() - before <= 0.02


@pytest.mark.parametrize("count", [0, -1, 1025, 10**9])
def test_a_bad_number_of_threads_is_refused(count):
    with pytest.raises(ArgumentValueError, match=rf"{count}, not in 1 \.\. 1024"):
        pool.set_num_threads(count)


@pytest.mark.parametrize("count", [True, "2", 1.0, None])
def test_a_number_of_threads_is_an_integer(count):
    with pytest.raises(ArgumentTypeError, match="not an integer"):
        pool.set_num_threads(count)


def run_python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_environment_sets_the_number_of_threads():
    code = "from tdsl.runtime import pool; print(pool.num_threads())"
    assert run_python(code, TDSL_NUM_THREADS="3") == ["3"]
    assert run_python(code, TDSL_NUM_THREADS="") == [str(cpus.usable_cpus())]


def test_a_bad_environment_is_named(monkeypatch):
    monkeypatch.setenv("TDSL_NUM_THREADS", "many")
    with pytest.raises(ArgumentValueError, match="TDSL_NUM_THREADS is 'many'"):
        cpus.default_num_threads()


def test_affinity_bounds_the_number_of_threads():
    code = """
    import os
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from tdsl.runtime import pool
    print(pool.num_threads())
    """
    assert run_python(code, TDSL_NUM_THREADS="") == ["1"]


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "250000 100000"}, 2.5),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "150000 100000"}, 1.5),
        (
            "3:cpu,cpuacct:/x\n",
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "50000",
                "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("2:memory:/x\n", {"memory/x/cpu.max": "1 2"}, None),
        ("nonsense\n", {}, None),
        ("0::/\n", {"cpu.max": "garbage"}, None),
    ],
)
def test_control_groups(tmp_path, membership, files, quota):
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "cgroup").write_text(membership)
    assert cpus.cgroup_quota(tmp_path / "root", tmp_path / "cgroup") == quota


def test_a_forked_child_has_a_pool_of_its_own():
    code = """
    import os, sys
    import numpy as np
    from tdsl.runtime import pool
    from tests.runtime import kernels
    pool.set_num_threads(3)
    visit = kernels.parallel_kernel()
    y = np.zeros((500, 4), np.int64)
    for _ in range(10):
        visit(y)
    children = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            z = np.zeros((500, 4), np.int64)
            for _ in range(100):
                visit(z)
            grandchild = os.fork()
            if grandchild:
                assert os.waitpid(grandchild, 0)[1] == 0
            visit(z)
            os._exit(0 if (z == 101).all() and pool.num_threads() == 3 else 1)
        children.append(child)
        visit(y)
    print(*(os.waitpid(child, 0)[1] for child in children), (y == 15).all())
    """
    assert run_python(code) == ["0"] * 5 + ["True"]


def test_a_fork_while_another_thread_runs_a_kernel():
    code = """
    import os, threading
    import numpy as np
    from tdsl.runtime import pool
    from tests.runtime import kernels
    pool.set_num_threads(2)
    visit = kernels.parallel_kernel()
    stop = threading.Event()

    def work():
        y = np.zeros((20000, 4), np.int64)
        while not stop.is_set():
            visit(y)

    thread = threading.Thread(target=work)
    thread.start()
    codes = []
    for _ in range(10):
        child = os.fork()
        if child == 0:
            z = np.zeros((500, 4), np.int64)
            visit(z)
            os._exit(0 if (z == 1).all() else 1)
        codes.append(os.waitpid(child, 0)[1])
    stop.set()
    thread.join()
    print(*codes)
    """
    assert run_python(code, PYTHONWARNINGS="ignore") == ["0"] * 10


def test_a_process_ends_cleanly_while_workers_spin():
    code = """
    import numpy as np
    from tdsl.runtime import pool
    from tests.runtime import kernels
    pool.set_num_threads(4)
    visit = kernels.parallel_kernel()
    visit(np.zeros((500, 4), np.int64))
    """
    for _ in range(3):
        run_python(code)


def test_temporary_memory_is_kept_and_given_back():
    pool.release_memory()
    sig = kernels.signature("scratch", kernels.output("y", 1, dtype="int64"))
    text = (
        kernels.DECLARATIONS
        + """
define i32 @scratch(ptr %args, i32 %n, ptr %context) {
  %block = call ptr @tdsl_alloc(i64 100000)
  %address = ptrtoint ptr %block to i64
  %y = load ptr, ptr %args
  store i64 %address, ptr %y
  store i64 %address, ptr %block
  call void @tdsl_free(ptr %block)
  ret i32 0
}
"""
    )
    kernel = kernels.load(sig, text)
    first, second = kernel()[0], kernel()[0]
    assert first == second
    assert first % 64 == 0
    assert 100_000 <= pool.release_memory() <= 125_000
    assert pool.release_memory() == 0
