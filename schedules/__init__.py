"""The operator library, imported as ``tdsl.schedules``: one file per operator family."""

if __name__ != "tdsl.schedules":
    raise ImportError("import tdsl.schedules, not schedules")

from tdsl.schedules.default import Decision, DefaultSchedule, Why, default_schedule

__all__ = ["Decision", "DefaultSchedule", "Why", "default_schedule"]
