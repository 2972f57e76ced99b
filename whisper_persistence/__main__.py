"""Run the command line: ``python -m whisper_persistence``."""

from __future__ import annotations

from whisper_persistence.cli import main

if __name__ == "__main__":
    main(prog_name="whisper-persistence")
