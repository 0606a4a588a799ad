"""The database: one SQLite file that any number of processes read and write.

Each record is committed on its own before it is acknowledged, so that killing a tuner at any moment
loses none. Damaged rows are skipped and counted, never fatal.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

import platformdirs

from tdsl.records.schema import TABLES, VERSION, Outcome, Record, RecordError, Verdict
from tdsl.records.workload import Workload

BUSY_SECONDS = 5.0

T = TypeVar("T")


def default_path() -> Path:
    """`TDSL_DB`, or tdsl's place among the user's data."""
    value = os.environ.get("TDSL_DB")
    return Path(value).expanduser() if value else Path(platformdirs.user_data_path("tdsl")) / "db"


class Database:
    """Records of schedules. A context manager; `damaged` counts the rows that were skipped.

    A file that this user cannot write is read as it is; adding to it raises.

    >>> with Database(":memory:") as db:
    ...     len(db.workloads())
    0
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = default_path() if path is None else path
        self.damaged = 0
        self._is_read_only = str(self.path) != ":memory:" and _is_read_only(Path(self.path))
        if str(self.path) != ":memory:" and not self._is_read_only:
            self._make_folder(Path(self.path).expanduser().parent)
        with self._readable():
            if self._is_read_only:
                self._link = _open_to_read(Path(self.path))
            else:
                self._link = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
                self._link.execute("PRAGMA journal_mode=WAL")
                self._link.execute("PRAGMA synchronous=NORMAL")
            self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._link.close()

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            reason = error.strerror or str(error)
            raise RecordError(
                f"cannot make the folder {folder} of the database: {reason}",
                hint="pass another file as --db, or set TDSL_DB",
            ) from error

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise RecordError(f"cannot use the database {self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise RecordError(
                f"{self.path} is no database of tdsl: {error}",
                hint="pass another file as --db, and `tdsl db import` an export into it",
            ) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that waits its turn and is committed on leaving.

        Raises:
            RecordError: the file is read-only.
        """
        if self._is_read_only:
            raise RecordError(
                f"the database {self.path} is read-only: what is in it can be used, but nothing "
                "can be recorded",
                hint="pass another file as --db, or set TDSL_DB; `tdsl db export` and `tdsl db "
                "import` copy what is known",
            )
        with self._readable():
            self._link.execute("BEGIN IMMEDIATE")
            try:
                yield self._link
            except BaseException:
                self._link.execute("ROLLBACK")
                raise
            self._link.execute("COMMIT")

    def _prepare(self) -> None:
        known = self._link.execute("SELECT name FROM sqlite_master WHERE name = 'meta'").fetchone()
        if known is None:
            with self._writing() as link:
                for statement in TABLES.split(";"):
                    link.execute(statement)
                link.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (str(VERSION),))
        row = self._link.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
        if row is None or not str(row[0]).isdigit() or int(row[0]) > VERSION:
            found = "none" if row is None else row[0]
            raise RecordError(
                f"{self.path} has version {found}; this tdsl reads up to {VERSION}",
                hint="install a newer tdsl, or pass another file as --db",
            )

    def add_workload(self, workload: Workload) -> None:
        """Note a workload, so that its records can be listed and found by their anchor."""
        text = json.dumps(workload.json(), sort_keys=True)
        with self._writing() as link:
            link.execute(
                "INSERT OR IGNORE INTO workloads VALUES (?, ?, ?)",
                (workload.key, workload.anchor, text),
            )

    def add(self, workload: str, record: Record) -> bool:
        """Store a record; False where this candidate has one already."""
        text = json.dumps(record.json(), sort_keys=True, allow_nan=False)
        with self._writing() as link:
            done = link.execute(
                "INSERT OR IGNORE INTO records (workload, candidate, outcome, seconds, payload) "
                "VALUES (?, ?, ?, ?, ?)",
                (workload, record.key, record.outcome.value, record.time, text),
            )
            return done.rowcount > 0

    def set_verdict(self, workload: str, verdict: Verdict) -> None:
        """Store the outcome of a finished session, in place of an earlier one."""
        text = json.dumps(verdict.json(), sort_keys=True, allow_nan=False)
        with self._writing() as link:
            link.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", (workload, text))

    def records(self, workload: str) -> list[Record]:
        """All records of a workload, in the order in which they were measured."""
        rows = self._rows(
            "SELECT id, payload FROM records WHERE workload = ? ORDER BY id", workload
        )
        return [r for number, text in rows if (r := self._parsed(text, _record(number)))]

    def best(self, workload: str, count: int = 1) -> list[Record]:
        """The quickest records of a workload."""
        rows = self._rows(
            "SELECT id, payload FROM records WHERE workload = ? AND outcome = 'ok' "
            "ORDER BY seconds, id",
            workload,
        )
        parsed = (self._parsed(text, _record(number)) for number, text in rows)
        good = [record for record in parsed if record and record.outcome is Outcome.OK]
        return good[:count]

    def trials(self, workload: str) -> int:
        """How many trials a workload has had."""
        outcomes = [outcome.value for outcome in Outcome if outcome.is_trial]
        marks = ",".join("?" * len(outcomes))
        rows = self._rows(
            f"SELECT COUNT(*), 0 FROM records WHERE workload = ? AND outcome IN ({marks})",  # noqa: S608 - marks are question marks
            workload,
            *outcomes,
        )
        return int(str(rows[0][0]))

    def verdict(self, workload: str) -> Verdict | None:
        """The outcome of the last finished session."""
        rows = self._rows("SELECT 0, payload FROM verdicts WHERE workload = ?", workload)
        return self._parsed(rows[0][1], Verdict.parse) if rows else None

    def workloads(self, anchor: str | None = None) -> list[Workload]:
        """All workloads, or those of an anchor."""
        where, values = ("WHERE anchor = ?", (anchor,)) if anchor is not None else ("", ())
        rows = self._rows(f"SELECT key, payload FROM workloads {where} ORDER BY rowid", *values)  # noqa: S608 - the clause is ours
        found = (self._parsed(text, _workload(str(key))) for key, text in rows)
        return [workload for workload in found if workload]

    def find(self, prefix: str) -> list[Workload]:
        """Workloads whose key starts with, or whose name is, a text."""
        return [w for w in self.workloads() if w.key.startswith(prefix) or w.name == prefix]

    def _rows(self, query: str, *values: object) -> list[tuple[object, object]]:
        with self._readable():
            return self._link.execute(query, values).fetchall()

    def _parsed(self, text: object, parse: Callable[[object], T]) -> T | None:
        try:
            return parse(json.loads(str(text)))
        except (ValueError, RecursionError):  # RecordError is a ValueError
            self.damaged += 1
            return None


def _record(number: object) -> Callable[[object], Record]:
    return lambda data: Record.parse(data, int(str(number)))


def _workload(key: str) -> Callable[[object], Workload]:
    return lambda data: Workload.parse(key, data)


def _is_read_only(path: Path) -> bool:
    """Whether there is a file, and it or its folder (for its journal) cannot be written."""
    return path.is_file() and not all(os.access(place, os.W_OK) for place in (path, path.parent))


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file that is not written: with its journal, or without one that cannot be made."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    link = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        link.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        link.close()
        link = sqlite3.connect(f"{address}&immutable=1", uri=True, isolation_level=None)
    return link
