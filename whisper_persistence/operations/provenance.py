"""Where words came from: listing them by source and trust, and rolling back what a source brought in.

A message is data, whatever it says. One that turns out to be poisoned (instructions dressed as a memory) is found by
what brought it in, and loses its words in every tier: it is redacted through the store, so that caches, indexes and
hash chains hear of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import attrs

from whisper_persistence.errors import NotSupportedError, ValidationError
from whisper_persistence.fusing import memory_of
from whisper_persistence.operations.reading import Report, read_messages_of, scan_pages
from whisper_persistence.records import Durability, Message, MessageRedaction, Receipt, StatisticsChange, checks
from whisper_persistence.records.conversations import Trust
from whisper_persistence.records.fields import Id, Label, Moment, Whole, to_utc
from whisper_persistence.store import Store
from whisper_persistence.validation import validate


@attrs.frozen
class SourceQuery:
    """Which messages are meant: all conditions hold together; one that is ``None`` holds for all.

    Attributes:
        source: `Message.source`, exactly; ``""`` for those of which nobody said it.
        trust: `Message.trust`.
        user_id: only messages that concern this user or that they wrote; found at a cost in proportion to them.
        since: only messages written at this time or later, by their own timestamps.
    """

    source: Label | None = None
    trust: Trust | None = None
    user_id: Id | None = None
    since: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(to_utc))

    def has(self, message: Message) -> bool:
        """Say whether a message is meant."""
        return (
            self.source in (None, message.source)
            and self.trust in (None, message.trust)
            and (self.since is None or message.timestamp >= self.since)
        )


@attrs.frozen
class SourceCount:
    """What there is of one source.

    Attributes:
        source, trust: of the messages.
        messages: how many there are.
        conversations: in how many conversations.
        oldest, newest: when the first and the last of them were written.
    """

    source: str
    trust: Trust
    messages: Whole
    conversations: Whole
    oldest: datetime
    newest: datetime


@attrs.frozen
class RollbackReport:
    """What a rollback did, or would do.

    Attributes:
        dry_run: whether it only counted.
        messages: how many messages lost their words.
        conversations: in how many conversations.
        users: how many users they concerned.
        durability: how safe the least safe of its writes is; what is journaled is brought in later.
    """

    dry_run: bool
    messages: Whole = 0
    conversations: Whole = 0
    users: Whole = 0
    durability: Durability = Durability.DURABLE


def find_messages(store: Store, query: SourceQuery, report: Report | None = None) -> Iterator[tuple[Message, ...]]:
    """Yield the messages that are meant, cleared ones included, a page of the scan at a time; a page may be empty.

    Args:
        store: where to look. All messages of the namespace are walked through unless the query names a user.
        query: which messages; those that lost their words already have no source any more, and are left out.
        report: called after each page that is read, if at all.

    Raises:
        ValidationError: a condition is not legal.
    """
    validate(query)
    user_id = query.user_id
    for page in scan_pages(store, "messages") if user_id is None else read_messages_of(store, user_id):
        yield tuple(one for one in page.records if query.has(one) and not one.is_redacted())
        if report is not None:
            report("looking for", "messages", len(page.records))


def list_sources(store: Store, query: SourceQuery, report: Report | None = None) -> tuple[SourceCount, ...]:
    """Return what there is of each source and trust among the messages that are meant, the most first."""
    counted: dict[tuple[str, Trust], tuple[int, set[str], datetime, datetime]] = {}
    for message in (message for page in find_messages(store, query, report) for message in page):
        key: tuple[str, Trust] = (message.source, message.trust)
        moment = message.timestamp
        count, talks, oldest, newest = counted.get(key, (0, set[str](), moment, moment))
        talks.add(message.conversation_id)
        counted[key] = count + 1, talks, min(oldest, moment), max(newest, moment)
    found = [
        SourceCount(*key, count, len(talks), oldest, newest) for key, (count, talks, oldest, newest) in counted.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.messages, one.source, one.trust)))


def roll_back(store: Store, query: SourceQuery, *, dry_run: bool, report: Report | None = None) -> RollbackReport:
    """Take the words of the messages that are meant, and the scores of the memories that they are, for good.

    Interrupted, it is finished by being asked again. It waits for nothing: a message that comes while it runs, or that
    waits in the journal of an outage, may stay.

    Args:
        store: where.
        query: which messages.
        dry_run: whether only to count them.
        report: called after each page that is read, if at all.

    Raises:
        ValidationError: the query names neither source nor trust, so that it would mean everything.
    """
    if query.source is None and query.trust is None:
        raise ValidationError(
            "SourceQuery", "names neither a source nor a degree of trust: name one, or everything would be rolled back"
        )
    found = 0
    talks, users = set[str](), set[str]()
    safe = [Durability.DURABLE]
    for page in find_messages(store, query, report):
        found += len(page)
        talks |= {message.conversation_id for message in page}
        users |= {message.user_id for message in page}
        if page and not dry_run:
            safe += [receipt.durability for receipt in _take(store, page)]
    return RollbackReport(dry_run, found, len(talks), len(users), max(safe, key=list(Durability).index))


def _take(store: Store, messages: tuple[Message, ...]) -> list[Receipt]:
    """Forget the scores of messages, where their users have any, and redact them: then they are not found again."""
    redactions = [MessageRedaction(one.conversation_id, one.message_id) for one in messages]
    return [*_forget_scores(store, messages), *store.update_messages(redactions)]


def _forget_scores(store: Store, messages: tuple[Message, ...]) -> Sequence[Receipt]:
    memories: dict[str, list[str]] = {}
    for message in messages:
        memories.setdefault(message.user_id, []).append(memory_of(message))
    try:
        scored = store.load_statistics(list(memories))
    except NotSupportedError:
        return ()
    changes = [StatisticsChange(user, forgotten=_legal(memories[user])) for user in scored]
    return store.update_statistics(changes) if changes else ()


def _legal(memory_ids: list[str]) -> tuple[str, ...]:
    """Return those that a score can have: a message may claim in its extras to be any memory."""
    return tuple(memory_id for memory_id in memory_ids if checks.check_id(memory_id) is None)
