"""Where files lie: in the user's own directories unless a setting says, and always absolute."""

from __future__ import annotations

from pathlib import Path


def absolute_path(path: str | Path) -> Path:
    """Return a path that stays the same when the process goes to another folder; ``~`` is the user's home."""
    return Path(path).expanduser().absolute()


def data_path(*parts: str) -> Path:
    """Return where data lies unless a setting says: in the user's data directory, below it as ``parts`` say."""
    import platformdirs  # most paths are told

    return platformdirs.user_data_path("whisper-persistence", appauthor=False).absolute().joinpath(*parts)


def state_path(*parts: str) -> Path:
    """Return where the state of a run that can begin anew lies: in the user's state directory, as ``parts`` say."""
    import platformdirs

    return platformdirs.user_state_path("whisper-persistence", appauthor=False).absolute().joinpath(*parts)
