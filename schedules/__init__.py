"""The operator library, imported as ``tdsl.schedules``: one file per operator family."""

if __name__ != "tdsl.schedules":
    raise ImportError("import tdsl.schedules, not schedules")
