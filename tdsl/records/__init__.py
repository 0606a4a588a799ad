"""The schedule database: what was measured of which schedule of which workload."""

from tdsl.records.positions import replay_steps
from tdsl.records.recorder import RecordingSchedule
from tdsl.records.schema import Outcome, Record, RecordError, Verdict
from tdsl.records.store import Database, default_path
from tdsl.records.transfer import TransferReport, export_lines, import_lines
from tdsl.records.workload import Workload, workload_of

__all__ = [
    "Database",
    "Outcome",
    "Record",
    "RecordError",
    "RecordingSchedule",
    "TransferReport",
    "Verdict",
    "Workload",
    "default_path",
    "export_lines",
    "import_lines",
    "replay_steps",
    "workload_of",
]
