"""Power cuts: every write and sync of SQLite's is recorded, and a file made again as a disk would have it afterwards.

A disk keeps what was synced, and any part of what was not. SQLite's own library, the one that Python is linked with, is
given a file system (a VFS) whose files note what is written to them before they write it.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import random
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

#: A disk writes so many bytes as one.
SECTOR: Final = 512
_INT, _LONG, _POINTER = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
_WRITE = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT, _LONG)
_TRUNCATE = ctypes.CFUNCTYPE(_INT, _POINTER, _LONG)
_SYNC = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)
# SQLite keeps the pointer to the name: it has to be handed on as it is, not as a copy.
_OPEN = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _POINTER, _INT, _POINTER)
_DELETE = ctypes.CFUNCTYPE(_INT, _POINTER, ctypes.c_char_p, _INT)
_METHODS = ("xClose", "xRead", "xWrite", "xTruncate", "xSync", *(f"x{n}" for n in range(13)))
_REST = ("xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose", "xRandomness", "xSleep")
_LATER = ("xCurrentTime", "xGetLastError", "xCurrentTimeInt64", "xSetSystemCall", "xGetSystemCall", "xNextSystemCall")


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``: what a file can do."""

    _fields_ = (("iVersion", _INT), *((name, _POINTER) for name in _METHODS))


class _File(ctypes.Structure):
    """``sqlite3_file``."""

    _fields_ = (("pMethods", ctypes.POINTER(_Methods)),)


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``: a file system."""

    _fields_ = (
        *(("iVersion", _INT), ("szOsFile", _INT), ("mxPathname", _INT), ("pNext", _POINTER)),
        *(("zName", ctypes.c_char_p), ("pAppData", _POINTER), ("xOpen", _POINTER)),
        *((name, _POINTER) for name in (*_REST, *_LATER)),
    )


@attrs.frozen
class Event:
    """Something that was done to a file.

    Attributes:
        name: of the file.
        kind: ``write``, ``truncate``, ``sync``, ``delete``, or ``mark`` for a moment that a test noted.
        offset: where, or the new length.
        data: what was written.
        note: what the test noted.
    """

    name: str
    kind: str
    offset: int = 0
    data: bytes = b""
    note: Any = None


@attrs.define(eq=False)
class Recorder:
    """What is done to SQLite's files while `recording` is on."""

    events: list[Event] = attrs.field(factory=list[Event])
    _kept: list[Any] = attrs.field(factory=list[Any])
    _names: dict[int, str] = attrs.field(factory=dict[int, str])

    def mark(self, note: Any) -> None:
        """Note a moment."""
        self.events.append(Event("", "mark", note=note))

    @contextmanager
    def recording(self) -> Generator[Recorder]:
        """Have every file that SQLite opens in a block recorded, also after it."""
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        own = library.sqlite3_vfs_find(None)
        vfs = _Vfs.from_buffer_copy(own.contents)
        vfs.zName, vfs.pNext = b"recorded", None
        open_ = _OPEN(self._opening(_OPEN(vfs.xOpen)))
        delete = _DELETE(self._deleting(_DELETE(vfs.xDelete)))
        vfs.xOpen, vfs.xDelete = ctypes.cast(open_, _POINTER), ctypes.cast(delete, _POINTER)
        self._kept += [open_, delete, vfs]
        library.sqlite3_vfs_register(ctypes.byref(vfs), 1)
        try:
            yield self
        finally:
            library.sqlite3_vfs_register(own, 1)
            library.sqlite3_vfs_unregister(ctypes.byref(vfs))

    def _opening(self, original: Any) -> Any:
        def open_(vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
            answer: int = original(vfs, name, file, flags, out)
            if answer == 0 and name:
                self._names[file] = Path(ctypes.string_at(name).decode()).name
                self._watch(_File.from_address(file))
            return answer

        return open_

    def _deleting(self, original: Any) -> Any:
        def delete(vfs: int, name: bytes, sync: int) -> int:
            self.events.append(Event(Path(name.decode()).name, "delete"))
            return int(original(vfs, name, sync))

        return delete

    def _watch(self, file: _File) -> None:
        """Put our methods that write in the place of the file's own."""
        methods = _Methods.from_buffer_copy(file.pMethods.contents)
        write, truncate, sync = _WRITE(methods.xWrite), _TRUNCATE(methods.xTruncate), _SYNC(methods.xSync)

        def on_write(at: int, data: int, size: int, offset: int) -> int:
            self.events.append(Event(self._names[at], "write", offset, ctypes.string_at(data, size)))
            return int(write(at, data, size, offset))

        def on_truncate(at: int, size: int) -> int:
            self.events.append(Event(self._names[at], "truncate", size))
            return int(truncate(at, size))

        def on_sync(at: int, flags: int) -> int:
            answer = int(sync(at, flags))
            self.events.append(Event(self._names[at], "sync"))
            return answer

        ours = _WRITE(on_write), _TRUNCATE(on_truncate), _SYNC(on_sync)
        methods.xWrite, methods.xTruncate, methods.xSync = (ctypes.cast(one, _POINTER) for one in ours)
        self._kept += [*ours, methods]
        file.pMethods = ctypes.pointer(methods)


def cut(events: Iterable[Event], folder: Path, dice: random.Random, *, torn: bool) -> None:
    """Write the files as a disk may have them when the power goes after these events.

    Args:
        events: what was done, in order.
        folder: where the files go.
        dice: say what of the rest is kept.
        torn: whether anything that was not synced is kept; else nothing is.
    """
    files: dict[str, bytearray] = {}
    loose: dict[str, list[Event]] = {}
    for event in events:
        if event.kind == "sync":
            for one in loose.pop(event.name, []):
                _apply(files.setdefault(event.name, bytearray()), one)
        elif event.kind == "delete":
            files.pop(event.name, None)
            loose.pop(event.name, None)
        elif event.kind != "mark":
            loose.setdefault(event.name, []).append(event)
    for name, rest in loose.items():
        for one in [piece for event in rest for piece in _pieces(event)] if torn else []:
            if dice.random() < 0.5:
                _apply(files.setdefault(name, bytearray()), one)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _pieces(event: Event) -> list[Event]:
    if event.kind != "write":
        return [event]
    starts = range(0, len(event.data), SECTOR)
    return [attrs.evolve(event, offset=event.offset + at, data=event.data[at : at + SECTOR]) for at in starts]


def _apply(content: bytearray, event: Event) -> None:
    if event.kind == "truncate":
        del content[event.offset :]
        return
    content.extend(bytes(max(0, event.offset - len(content))))
    content[event.offset : event.offset + len(event.data)] = event.data
