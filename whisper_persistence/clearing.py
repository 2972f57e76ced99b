"""Where what a conversation shows begins: a scan also has the messages before a clear mark, a window never does.

Whoever reads messages by `MaintenanceSpecs.scan` and must not bring back what was cleared (a copy, a replica, an index,
a search that opens every message) leaves out those before the place that `first_shown` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from whisper_persistence.records import Message, Window, checks


def first_shown(
    load: Callable[[Sequence[Window]], Mapping[Window, tuple[Message, ...]] | None], conversation_ids: Iterable[str]
) -> dict[str, int]:
    """Return the sequence of the oldest message that each conversation shows; one that shows none is absent.

    Args:
        load: ``load_messages`` of who is asked, as a function of windows; it is given at most 1,000 at once.
        conversation_ids: which conversations, in any number; each is asked about once.
    """
    windows = [Window(talk, 1, after=0) for talk in dict.fromkeys(conversation_ids)]
    found: dict[str, int] = {}
    for start in range(0, len(windows), checks.MAX_BATCH):
        shown = load(windows[start : start + checks.MAX_BATCH]) or {}
        found.update((window.conversation_id, messages[0].sequence or 0) for window, messages in shown.items())
    return found
