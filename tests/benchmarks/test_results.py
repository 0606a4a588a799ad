import pytest

from benchmarks.results import Bounds, Result, RowResult, Status, bounds, limit_rate, merge
from benchmarks.workloads import LIMITS, select

GEMM, SOFTMAX, TRANSPOSE, OVERHEAD = select(
    ["gemm_1024", "softmax_1024x4096", "transpose_4096x4096", "call_overhead"]
)


def timed(peer, *rounds):
    return Result(peer, rounds=[list(times) for times in rounds], foreign_cpu=[0.0] * len(rounds))


def row(*results):
    return RowResult(GEMM, 1, list(results))


def test_median_is_over_rounds_and_best_over_samples():
    result = timed("a", [1.0, 2.0, 9.0], [3.0, 3.0, 3.0], [4.0, 0.5, 9.0])
    assert result.median_s == 3.0
    assert result.best_s == 0.5


def test_ratio_compares_within_rounds():
    # the machine was half as fast in the second round: the ratio is 2 all the same
    result = row(timed("tdsl", [1.0], [2.0], [1.0]), timed("ort", [2.0], [4.0], [2.0]))
    assert result.ratio("tdsl") == 2.0


def test_variants_and_ahead_packed_peers_are_no_rivals():
    result = row(timed("tdsl", [2.0]), timed("tdsl-const", [1.5]), timed("ort-constB", [1.0]),
                 timed("ort", [3.0]))  # fmt: skip
    assert result.best_other("tdsl").peer == "ort"
    assert result.best_other("tdsl-const").peer == "ort-constB"


def test_wrong_results_are_no_rivals():
    wrong = timed("ort", [0.1])
    wrong.check(1.0, 1e-4)
    assert wrong.status is Status.WRONG
    assert row(timed("tdsl", [2.0]), wrong).ratio("tdsl") is None


def test_nan_error_is_wrong():
    result = timed("a", [1.0])
    result.check(float("nan"), 1.0)
    assert result.status is Status.WRONG


def test_infinite_error_becomes_null_in_json():
    result = Result("a")
    result.check(float("inf"), 1e-4)
    assert result.to_json()["error"] is None


def test_bound_takes_arithmetic_or_the_bandwidth_that_fits():
    known = Bounds({"f32": 1e11}, cache=1e11, memory=2e10, cache_bytes=32 << 20)
    assert known.seconds(GEMM) == pytest.approx(GEMM.flops / 1e11)
    assert known.seconds(TRANSPOSE) == pytest.approx(TRANSPOSE.bytes / 2e10)
    assert known.seconds(SOFTMAX) == pytest.approx(SOFTMAX.bytes / 1e11)
    assert known.seconds(OVERHEAD) is None


def test_unmeasured_limit_gives_no_bound():
    assert Bounds({}, 1.0, 1.0, 1).seconds(GEMM) is None


def test_limits_count_every_thread():
    fma = next(limit for limit in LIMITS if limit.name == "limit_fma_f32")
    result = RowResult(fma, 2, [timed("limits", [1.0, 2.0, 3.0], [0.5, 0.5, 0.5])])
    assert limit_rate(result) == fma.flops * 2 / 0.5
    assert bounds([result], 2, 1).peaks == {"f32": fma.flops * 2 / 0.5}
    assert bounds([result], 1, 1).peaks == {}


def test_merge_keeps_the_rounds_of_both():
    merged = merge(row(timed("a", [1.0])), row(timed("a", [0.5])))
    assert merged.of("a").rounds == [[1.0], [0.5]]
