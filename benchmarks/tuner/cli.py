"""The commands of ``python -m benchmarks.tuner``."""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.tuner import against, models, tables
from benchmarks.tuner.rows import JUDGED, ROWS, task_of_row
from tdsl.autotune.cost_model import ModelSettings, Objective
from tdsl.autotune.evolution import EvolutionarySearch
from tdsl.autotune.search import RandomSearch, Search, SearchKind
from tdsl.autotune.session import Options, Session
from tdsl.autotune.space import Space
from tdsl.records import Database

_POINTS = (16, 32, 48, 64, 96, 128)
_SEARCHES: dict[str, Callable[[Space], Search]] = {
    "random": RandomSearch,
    "evolution, regression": EvolutionarySearch,
    "evolution, ranking": partial(
        EvolutionarySearch, settings=ModelSettings(objective=Objective.RANKING)
    ),
}
_TRAINED = 64


def main(arguments: Sequence[str]) -> int:
    """Run one command."""
    options = _parser().parse_args(arguments)
    unknown = [row for row in options.rows if row not in ROWS]
    if unknown:
        print(f"benchmarks.tuner: no row {unknown[0]!r}; there are {', '.join(ROWS)}")
        return 2
    options.run(options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tuner",
        description="How well the tuner searches.",
        epilog="example: python -m benchmarks.tuner table --trials 400 --db table.db "
        "&& python -m benchmarks.tuner curve --db table.db",
    )
    commands = parser.add_subparsers(required=True)
    for name, run, text in (
        ("gain", _gain, "tune rows; fallback, default and winner timed in turn"),
        ("table", _table, "measure random candidates, for `curve`"),
        ("curve", _curve, "replay searches on tables; ablate the model's objective"),
        ("speed", _speed, "candidates scored, and trials measured, in one second"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        add = command.add_argument
        add("--rows", nargs="+", default=list(JUDGED), metavar="ROW", help=", ".join(ROWS))
        add("--trials", type=int, default=64)
        add("--seeds", type=int, default=5, help="searches that are replayed (5)")
        add("--threads", type=int)
        add("--db", type=Path, help="a database; tables are kept in it")
    return parser


def _open(options: argparse.Namespace) -> Database:
    return Database(":memory:" if options.db is None else options.db)


def _gain(options: argparse.Namespace) -> None:
    tuning = Options(trials=options.trials)
    with _open(options) as db:
        gains = [against.measure_gain(row, tuning, db, options.threads) for row in options.rows]
    print(against.shown(gains))


def _table(options: argparse.Namespace) -> None:
    tuning = Options(trials=options.trials, search=SearchKind.RANDOM, batch=64)
    with _open(options) as db:
        for row in options.rows:
            result = Session(task_of_row(row, options.threads), db, tuning).run()
            print(f"{row}: {result.trials} candidates")


def _curve(options: argparse.Namespace) -> None:
    with _open(options) as db:
        found = [
            tables.load_table(row, task_of_row(row, options.threads), db) for row in options.rows
        ]
    points = [point for point in _POINTS if point <= min(len(t.outcomes) for t in found) // 2]
    print("best so far over the best of the table, geometric mean of", options.seeds, "seeds\n")
    print("| row (candidates) | search |", " | ".join(f"{p} trials" for p in points), "|")
    print("| --- |" + " --- |" * (len(points) + 1))
    for table in found:
        for name, make in _SEARCHES.items():
            values = tables.curve(table, make, options.seeds, points)
            shown = " | ".join(f"{value:.3f}" for value in values)
            print(f"| {table.name} ({len(table.outcomes)}) | {name} | {shown} |")
    print(f"\nthe model alone, trained on {_TRAINED} candidates, judged on the others\n")
    print("| row | objective | pairs in order | favourite / best | best of 8 / best |")
    print("| --- | --- | --- | --- | --- |")
    for table in found:
        for objective in Objective:
            each = [models.held_out(table, objective, _TRAINED, s) for s in range(options.seeds)]
            means = [
                sum(getattr(q, name) for q in each) / len(each)
                for name in ("pairs", "regret", "regret8")
            ]
            shown = f"{means[0]:.3f} | {means[1]:.3f} | {means[2]:.3f}"
            print(f"| {table.name} | {objective.value} | {shown} |")


def _speed(options: argparse.Namespace) -> None:
    tuning = Options(trials=options.trials)
    for row in options.rows:
        task = task_of_row(row, options.threads)
        scored = models.scored_a_second(Space(task))
        with _open(options) as db:
            started = time.perf_counter()
            result = Session(task, db, tuning).run()
            taken = time.perf_counter() - started
        print(
            f"{row}: {scored:,.0f} candidates scored a second; {result.measured} trials in "
            f"{taken:.1f} s with the final comparison and ablation: "
            f"{result.measured / taken:.2f} a second"
        )
