"""How far a copy has come, in a small file, so that one that was interrupted goes on where it stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

import attrs
import msgspec

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.records.kinds import RecordKind


@attrs.frozen
class _Written:
    copy: str
    done: list[RecordKind]
    cursor: str | None


@attrs.define
class Checkpoint:
    """How far a copy has come. The file holds a cursor, which may name a user, and is for its owner's eyes only.

    Attributes:
        path: the file.
        copy: which copy it belongs to, as `whisper_persistence.operations.places.name_copy` calls it.
        done: the kinds of record that are copied.
        cursor: where the next page of the next kind begins.
    """

    path: Path
    copy: str
    done: list[RecordKind] = attrs.field(factory=list[RecordKind])
    cursor: str | None = attrs.field(default=None, repr=False)

    @classmethod
    def load(cls, path: Path, copy: str) -> Self:
        """Return the checkpoint in a file, or a new one where there is none.

        Raises:
            ConfigurationError: the file is not a checkpoint, is that of another copy, or cannot be written.
        """
        try:
            written = msgspec.json.decode(path.read_bytes(), type=_Written)
        except FileNotFoundError:
            written = _Written(copy, [], None)
        except OSError as error:
            raise _unusable(path, error) from None
        except msgspec.MsgspecError:
            raise ConfigurationError(f"{path} is not a checkpoint of a copy: name another file") from None
        if written.copy != copy:
            raise ConfigurationError(f"{path} belongs to another copy: name another file, or remove it")
        checkpoint = cls(path, copy, written.done, written.cursor)
        checkpoint._save()
        return checkpoint

    def move(self, kind: RecordKind, cursor: str | None) -> None:
        """Write down that of this kind all before the cursor is copied, or everything where there is no cursor."""
        self.cursor = cursor
        if cursor is None:
            self.done.append(kind)
        self._save()

    def remove(self) -> None:
        """Forget it: the next copy begins anew."""
        self.path.unlink(missing_ok=True)

    def _save(self) -> None:
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new.touch(mode=0o600)
            new.write_bytes(msgspec.json.encode(_Written(self.copy, self.done, self.cursor)))
            new.replace(self.path)
        except OSError as error:
            raise _unusable(self.path, error) from None


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"the checkpoint {path} cannot be used ({error.strerror}): name another file")
