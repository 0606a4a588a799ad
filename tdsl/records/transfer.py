"""Export and import: one JSON object a line, so that files can be joined, filtered and diffed.

::

    {"tdsl_records": 1}
    {"workload": "5f0c...", "data": {...}}
    {"record": "5f0c...", "data": {...}}
    {"verdict": "5f0c...", "data": {...}}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tdsl.records.schema import VERSION, Record, RecordError, Verdict
from tdsl.records.store import Database
from tdsl.records.workload import Workload


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What an import did: records added, those that were there already, and damaged lines."""

    added: int
    known: int
    damaged: int

    def __str__(self) -> str:
        text = f"{self.added} records added, {self.known} known already"
        return f"{text}, {self.damaged} damaged lines skipped" if self.damaged else text


def export_lines(db: Database, workloads: Iterable[Workload]) -> Iterator[str]:
    """All that is known of workloads, as lines of JSON."""
    yield _line({"tdsl_records": VERSION})
    for workload in workloads:
        yield _line({"workload": workload.key, "data": workload.json()})
        for record in db.records(workload.key):
            yield _line({"record": workload.key, "data": record.json()})
        verdict = db.verdict(workload.key)
        if verdict is not None:
            yield _line({"verdict": workload.key, "data": verdict.json()})


def import_lines(db: Database, lines: Iterable[str]) -> TransferReport:
    """Add what lines of an export hold; a torn line is skipped and counted.

    Raises:
        RecordError: no export, or one of a newer version.
    """
    stream = iter(lines)
    _check_header(next(stream, ""))
    added = known = damaged = 0
    for line in stream:
        if not line.strip():
            continue
        try:
            is_new = _take(db, json.loads(line))
        except (ValueError, RecursionError):
            damaged += 1
            continue
        added += is_new is True
        known += is_new is False
    return TransferReport(added, known, damaged)


def _check_header(line: str) -> None:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    version = header.get("tdsl_records") if isinstance(header, dict) else None
    if not isinstance(version, int):
        raise RecordError(
            "this is no export of records", hint='the first line is {"tdsl_records": 1}'
        )
    if version > VERSION:
        raise RecordError(
            f"the export has version {version}; this tdsl reads up to {VERSION}",
            hint="install a newer tdsl",
        )


def _take(db: Database, item: object) -> bool | None:
    """Store one line; whether a record was new, None for other lines."""
    if not isinstance(item, dict):
        raise RecordError("no object")
    data = item.get("data")
    for kind, take in _TAKERS.items():
        if isinstance(item.get(kind), str):
            return take(db, item[kind], data)
    raise RecordError("no workload, record or verdict")


def _take_workload(db: Database, key: str, data: object) -> None:
    db.add_workload(Workload.parse(key, data))


def _take_record(db: Database, key: str, data: object) -> bool:
    return db.add(key, Record.parse(data))


def _take_verdict(db: Database, key: str, data: object) -> None:
    found = Verdict.parse(data)
    here = db.verdict(key)
    if here is None or here.trials < found.trials:
        db.set_verdict(key, found)


_TAKERS: Mapping[str, Callable[[Database, str, object], bool | None]] = {
    "workload": _take_workload,
    "record": _take_record,
    "verdict": _take_verdict,
}


def _line(data: Mapping[str, object]) -> str:
    return json.dumps(data, sort_keys=True)
