"""`python -m tdsl`: the command, where the folder of scripts is not on PATH."""

from __future__ import annotations

from tdsl.cli import main

if __name__ == "__main__":
    main()
