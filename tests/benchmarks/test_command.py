import json
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.cli import main

FAKE = Path(__file__).with_name("fake_peer.py")
ROW = ["--rows", "call_overhead", "--peers"]
FAST = ["--rounds", "2", "--burst", "0.005", "--threads", "1"]


def fakes(*names):
    return [f"{name}={FAKE}" for name in names]


def test_run_writes_json_and_markdown(tmp_path, capsys):
    out, table = tmp_path / "out.json", tmp_path / "out.md"
    files = ["--json", str(out), "--md", str(table)]
    names = fakes("right", "slow", "wrong", "absent")
    status = main([*ROW, *names, *FAST, "--no-limits", *files])
    assert status == 0
    document = json.loads(out.read_text())
    row = document["rows"][0]
    assert document["command"].startswith("python -m benchmarks --rows call_overhead")
    assert document["missing_peers"] == {"absent": "No module named 'absent'"}
    assert (row["best_other"], document["baseline"]) == ("slow", "right")
    assert row["ratio"] > 10
    assert [r["status"] for r in row["results"]] == ["ok", "ok", "wrong"]
    text = table.read_text()
    assert "best other / right" in text
    assert "absent: not installed" in text
    assert "wrong: relative error" in text
    assert capsys.readouterr().out == ""


def test_limits_are_measured_in_the_same_run(capsys):
    once = ["--rounds", "1", "--burst", "0.001", "--threads", "1"]
    status = main([*ROW, *fakes("right"), *once])
    printed = capsys.readouterr().out
    assert status == 0
    assert "| fma f32 |" in printed
    assert "| read dram |" in printed
    assert "GFLOP/s" in printed


def test_own_failure_fails_the_run(monkeypatch):
    monkeypatch.setitem(peers.OWN, "wrong", "hand")
    arguments = [*ROW, *fakes("wrong"), *FAST, "--no-limits"]
    assert main(arguments) == 1


def test_unknown_row_is_a_usage_error(capsys):
    assert main(["--rows", "nonsense"]) == 2
    assert "no row, alias or group is called 'nonsense'" in capsys.readouterr().err


def test_zero_threads_is_a_usage_error():
    with pytest.raises(SystemExit) as stop:
        main(["--threads", "0"])
    assert stop.value.code == 2


def test_missing_shared_files_are_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TDSL_PEERS", str(tmp_path))
    peers.shared_bench.cache_clear()
    try:
        main([*ROW, "halide", *FAST, "--no-limits"])
    finally:
        peers.shared_bench.cache_clear()
    assert "TDSL_PEERS" in capsys.readouterr().out


def test_list_names_rows_and_peers(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert "gemm_1024x1024x1024" in printed
    assert "tdsl-const" in printed
