"""Bringing an archive into a store, and comparing what the store holds then with the archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from whisper_persistence.errors import NotSupportedError, StorageDamagedError
from whisper_persistence.operations.archive_lines import ArchiveLines, group_lines
from whisper_persistence.operations.comparing import Comparison, digest_groups
from whisper_persistence.operations.manifest import Archive, ArchiveFile, Manifest
from whisper_persistence.operations.putting import ORDER, put_histories, put_messages, put_whole
from whisper_persistence.operations.reading import Report
from whisper_persistence.operations.transfer import Batch, read_lines
from whisper_persistence.records import Message, checks
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store

_decode_mark: Final = msgspec.json.Decoder(dict[str, str]).decode


def import_archive(store: Store, path: Path, report: Report) -> tuple[Comparison, ...]:
    """Put every record of an archive into a store, and compare what the store holds then with the archive.

    The archive is checked before anything is written. Importing it again changes nothing; what the store held of the
    same users before and the archive does not hold is left there, and shows as a difference.

    Args:
        store: where to; its namespace, not that of the archive, is the records' from now on.
        path: the archive.
        report: called after each batch.

    Returns:
        For each kind, how many records archive and store hold and whether they are equal.

    Raises:
        ConfigurationError: there is no archive.
        IncompatibleSchemaError: it was written by a newer release.
        StorageDamagedError: it is not what its manifest says.
        ValidationError: a line is not a legal record; names file, line and field.
    """
    archive = Archive(path)
    manifest = archive.manifest()
    archive.check(manifest)
    files = {file.kind: file for file in manifest.files}
    marks = _read_marks(archive, files.get("cleared"))
    for kind in ORDER:
        if kind in files:
            _put_kind(store, kind, _batches(archive, files[kind]), marks, report)
    return _compare(store, archive, manifest, report)


def _batches(archive: Archive, file: ArchiveFile) -> Iterator[Batch]:
    with archive.open(file.name) as lines:
        for batch in read_lines(lines, file.name):
            if batch.kind != file.kind:
                raise StorageDamagedError(f"{file.name} of the archive {archive.path} holds {batch.kind}")
            yield batch


def _put_kind(store: Store, kind: RecordKind, batches: Iterator[Batch], marks: dict[str, str], report: Report) -> None:
    if kind in ("outcomes", "scores"):
        for histories in _histories(batches):
            put_histories(store, kind, histories)
            report("importing", kind, sum(map(len, histories.values())))
        return
    for batch in batches:
        if kind == "messages":
            put_messages(store, batch.records, _are_cleared(batch.records, marks))
        else:
            put_whole(store, kind, batch.records)
        report("importing", kind, len(batch.records))


def _histories(batches: Iterator[Batch]) -> Iterator[Mapping[str, list[Any]]]:
    """Yield whole histories of some users at a time; a user's records stand together in an archive."""
    found: dict[str, list[Any]] = {}
    for batch in batches:
        for record in batch.records:
            if record.user_id not in found and sum(map(len, found.values())) >= checks.MAX_BATCH:
                yield found
                found = {}
            found.setdefault(record.user_id, []).append(record)
    if found:
        yield found


def _read_marks(archive: Archive, file: ArchiveFile | None) -> dict[str, str]:
    """Return by conversation the last message that is cleared."""
    if file is None:
        return {}
    with archive.open(file.name) as lines:
        try:
            marks = [_decode_mark(line) for line in lines]
            return {mark["conversation_id"]: mark["message_id"] for mark in marks}
        except (msgspec.MsgspecError, KeyError):
            raise StorageDamagedError(f"{file.name} of the archive {archive.path} cannot be read") from None


def _are_cleared(messages: Sequence[Message], marks: dict[str, str]) -> list[bool]:
    """Say of each message whether it is cleared; a mark is taken away when the message that it names is met."""
    flags: list[bool] = []
    for message in messages:
        last = marks.get(message.conversation_id)
        flags.append(last is not None)
        if last == message.message_id:
            del marks[message.conversation_id]
    return flags


def _compare(store: Store, archive: Archive, manifest: Manifest, report: Report) -> tuple[Comparison, ...]:
    """Compare every file of an archive with the lines that the store would give it, none of which touches a disk."""
    lines = ArchiveLines(store, manifest.user_id, "comparing", report)
    # What is cleared is known when the messages were read.
    found = (_compare_file(archive, file, lines) for file in sorted(manifest.files, key=lambda f: f.kind == "cleared"))
    return tuple(filter(None, found))


def _compare_file(archive: Archive, file: ArchiveFile, lines: ArchiveLines) -> Comparison | None:
    """Compare one file; ``None`` where the store does not keep what it holds."""
    kind = cast("RecordKind", file.kind)
    if file.kind == "cleared":
        with archive.open(file.name) as marks:
            ours, theirs = digest_groups([marks]), digest_groups([lines.marks()])
    else:
        records = (record for batch in _batches(archive, file) for record in batch.records)
        try:
            theirs = digest_groups(group for _, group in lines.read(kind))
        except NotSupportedError:
            return None
        ours = digest_groups(group for _, group in group_lines(kind, records))
    return Comparison(kind, ours[0], theirs[0], ours == theirs)
