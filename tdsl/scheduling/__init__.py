"""The schedule language: `Schedule`, its primitives, traces and schedule files."""

from tdsl.scheduling.combinator import combinator
from tdsl.scheduling.files import FileReport, check_file, load_schedule
from tdsl.scheduling.locations import Location, find_algorithm, parse_location
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.moves import Move, Moves
from tdsl.scheduling.schedule import Schedule
from tdsl.scheduling.trace import Call, Step, Trace, replay
from tdsl.scheduling.view import AccessView, BlockView, LoopView, NestView

__all__ = [
    "AccessView",
    "BlockView",
    "Call",
    "FileReport",
    "Location",
    "Loop",
    "LoopView",
    "Move",
    "Moves",
    "NestView",
    "Schedule",
    "Step",
    "Trace",
    "check_file",
    "combinator",
    "find_algorithm",
    "load_schedule",
    "parse_location",
    "replay",
]
