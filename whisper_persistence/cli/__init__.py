"""The command line ``whisper-persistence``."""

from whisper_persistence.cli.commands import main

__all__ = ["main"]
