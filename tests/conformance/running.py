"""Run cases in worker processes; a worker that dies takes one case with it."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

from tests.conformance.cases import ROOT
from tests.conformance.outcomes import Outcome, Result

_MODELS = ("real", "simple", "pytorch-converted", "pytorch-operator")


def case_names(cases):
    """The names of all cases of the suite."""
    import onnx.backend.test

    data = Path(onnx.backend.test.__file__).parent / "data"
    folders = [Path(cases) / "node", *(data / kind for kind in _MODELS)]
    return sorted(path.name for folder in folders for path in folder.iterdir() if path.is_dir())


def run_cases(cases, names, jobs=1):
    """Yield the results as they come, in no particular order."""
    results = SimpleQueue()
    shares = [names[n::jobs] for n in range(jobs)]
    threads = [
        threading.Thread(target=_run_share, args=(cases, share, results.put), daemon=True)
        for share in shares
    ]
    for thread in threads:
        thread.start()
    for _ in names:
        yield results.get()


def _run_share(cases, names, put):
    rest = list(names)
    while rest:
        command = [sys.executable, "-m", "tests.conformance.worker", str(cases)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as worker:
            worker.stdin.write("\n".join(rest))
            worker.stdin.close()
            for line in worker.stdout:
                if line.startswith("{"):
                    put(Result.from_json(json.loads(line)))
                    rest.pop(0)
        if rest:
            put(Result(rest.pop(0), Outcome.CRASHED, (f"exit code {worker.returncode}",)))
