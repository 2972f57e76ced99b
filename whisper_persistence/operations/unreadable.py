"""Reading every record, to name those that cannot be read."""

from __future__ import annotations

import attrs

from whisper_persistence.errors import NotSupportedError
from whisper_persistence.operations.reading import Report, scan_pages
from whisper_persistence.records import RECORD_KINDS
from whisper_persistence.records.fields import Whole
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store


@attrs.frozen
class Unreadable:
    """A record that is there and cannot be read.

    Attributes:
        kind: its kind.
        key: what names it: the ids of its user, conversation and so on, and its sequence, with blanks between them.
    """

    kind: RecordKind
    key: str


@attrs.frozen
class ReadingReport:
    """What reading every record found.

    Attributes:
        records: how many could be read.
        unreadable: those that could not.
    """

    records: Whole
    unreadable: tuple[Unreadable, ...] = ()


def find_unreadable(store: Store, report: Report) -> ReadingReport:
    """Read every record of the namespace, and name those that cannot be read.

    Args:
        store: where to look.
        report: called after each page that is read.
    """
    records, found = 0, list[Unreadable]()
    for kind in RECORD_KINDS:
        try:
            for page in scan_pages(store, kind):
                records += len(page.records)
                found += [Unreadable(kind, key) for key in page.damaged]
                report("reading", kind, len(page.records))
        except NotSupportedError:
            continue
    return ReadingReport(records, tuple(found))
