"""The kinds of record, by the names that an operator's hooks take."""

from __future__ import annotations

from typing import Final, Literal, get_args

#: The kinds of record that a store keeps.
RecordKind = Literal["strategies", "outcomes", "statistics", "scores", "patterns", "preferences", "messages"]

#: All of them.
ALL_KINDS: Final[tuple[RecordKind, ...]] = get_args(RecordKind)

#: The field of each kind of record that its age is counted from.
MOMENTS: Final[dict[RecordKind, str]] = {
    "strategies": "last_updated",
    "outcomes": "timestamp",
    "statistics": "last_updated",
    "scores": "calculation_timestamp",
    "patterns": "last_seen",
    "preferences": "last_updated",
    "messages": "timestamp",
}
