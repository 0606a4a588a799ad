"""The tuner, imported as ``tdsl.autotune``."""

if __name__ != "tdsl.autotune":
    raise ImportError("import tdsl.autotune, not autotune")
