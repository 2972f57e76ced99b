"""The observer: a wrapper around every hook that writes, which changes nothing of what passes through it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import attrs

from whisper_persistence import records as rec
from whisper_persistence.hookspecs import Below, hookimpl
from whisper_persistence.paths import absolute_path
from whisper_persistence_audit.trail import Ids, Trail, open_trail

#: A wrapper: it gives way to the drivers, is sent their answer, and returns it.
Watch = Generator[None, Any, Any]


@attrs.define(eq=False)
class AuditObserver:
    """Appends one line to a file for every write, erasure and expiry, whether it went well or not.

    Attributes:
        path: the file.
        ids: how users and conversations are written: ``keyed`` (a keyed hash), ``plain`` or ``none``.
        key: the secret of the keyed hash; by default one is made and kept beside the file.
    """

    contract_version: ClassVar[int] = 1
    local: ClassVar[bool] = True

    path: Path = attrs.field(converter=absolute_path)
    ids: Ids = attrs.field(default="keyed", validator=attrs.validators.in_(("keyed", "plain", "none")))
    key: str | None = attrs.field(default=None, repr=False)
    _trail: Trail = attrs.field(init=False, repr=False)
    _namespace: str = attrs.field(init=False, repr=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """See that the file can be written."""
        self._trail = open_trail(self.path, self.ids, self.key)
        self._namespace = namespace

    @hookimpl(wrapper=True)
    def save_strategies(self, strategies: Sequence[rec.Strategy]) -> Watch:
        """Note strategies that are put."""
        return (yield from self._note("save_strategies", strategies))

    @hookimpl(wrapper=True)
    def update_strategies(self, changes: Sequence[rec.StrategyChange]) -> Watch:
        """Note changes to strategies."""
        return (yield from self._note("update_strategies", changes))

    @hookimpl(wrapper=True)
    def save_statistics(self, statistics: Sequence[rec.Statistics]) -> Watch:
        """Note statistics that are put."""
        return (yield from self._note("save_statistics", statistics))

    @hookimpl(wrapper=True)
    def update_statistics(self, changes: Sequence[rec.StatisticsChange]) -> Watch:
        """Note changes to statistics."""
        return (yield from self._note("update_statistics", changes))

    @hookimpl(wrapper=True)
    def save_patterns(self, patterns: Sequence[rec.Pattern]) -> Watch:
        """Note patterns that are put."""
        return (yield from self._note("save_patterns", patterns))

    @hookimpl(wrapper=True)
    def update_patterns(self, changes: Sequence[rec.PatternChange]) -> Watch:
        """Note changes to patterns."""
        return (yield from self._note("update_patterns", changes))

    @hookimpl(wrapper=True)
    def save_preferences(self, preferences: Sequence[rec.Preferences]) -> Watch:
        """Note preferences that are put."""
        return (yield from self._note("save_preferences", preferences))

    @hookimpl(wrapper=True)
    def update_preferences(self, changes: Sequence[rec.PreferencesChange]) -> Watch:
        """Note changes to preferences."""
        return (yield from self._note("update_preferences", changes))

    @hookimpl(wrapper=True)
    def save_messages(self, messages: Sequence[rec.Message]) -> Watch:
        """Note messages that are appended."""
        return (yield from self._note("save_messages", messages))

    @hookimpl(wrapper=True)
    def update_messages(self, changes: Sequence[rec.MessageChange]) -> Watch:
        """Note changes to messages."""
        return (yield from self._note("update_messages", changes))

    @hookimpl(wrapper=True)
    def save_vectors(self, vectors: Sequence[rec.Vector]) -> Watch:
        """Note vectors that are put."""
        return (yield from self._note("save_vectors", vectors))

    @hookimpl(wrapper=True)
    def erase_users(self, user_ids: Sequence[str]) -> Watch:
        """Note users that are forgotten."""
        return (yield from self._note("erase_users", user_ids))

    @hookimpl(wrapper=True)
    def erase_again(self, tombstones: Sequence[rec.Tombstone]) -> Watch:
        """Note that users are forgotten whom nobody can name any more."""
        return (yield from self._note("erase_again", tombstones))

    @hookimpl(wrapper=True)
    def expire(self, policies: Sequence[rec.Retention], dry_run: bool) -> Watch:
        """Note it, unless it is a dry run."""
        if dry_run:
            return (yield)
        return (yield from self._note("expire", policies))

    def _note(self, hook: str, items: Sequence[Any]) -> Watch:
        entry = {"time": datetime.now(UTC), "namespace": self._namespace, "hook": hook, "items": len(items)}
        entry |= self._named(users=_ids(items, "user_id"), conversations=_ids(items, "conversation_id"))
        begin = time.perf_counter()
        try:
            answer = yield
        except BaseException as error:
            self._end(entry, begin, error=type(error).__name__)
            raise
        self._end(entry, begin, **_outcome(answer))
        return answer

    def _named(self, **ids: Iterable[str]) -> dict[str, Any]:
        named = {name: self._trail.named(values) for name, values in ids.items()}
        return {name: values for name, values in named.items() if values}

    def _end(self, entry: dict[str, Any], begin: float, **outcome: Any) -> None:
        milliseconds = round((time.perf_counter() - begin) * 1000, 3)
        self._trail.append({**entry, "milliseconds": milliseconds, **outcome})


def _ids(items: Sequence[Any], attribute: str) -> Iterable[str]:
    plain = items if attribute == "user_id" else ()
    named = (getattr(item, attribute, None) for item in items)
    return (value for value in (*named, *plain) if isinstance(value, str))


def _outcome(answer: Sequence[Any] | None) -> dict[str, Any]:
    """Return how safe the items are, or what was removed where: the answer of a write, or of an erase or expiry."""
    if answer is None:
        return {"error": "nobody answered"}
    receipts = [item.durability.value for item in answer if isinstance(item, rec.Receipt)]
    removed = {item.tier: item.counts for item in answer if isinstance(item, rec.TierReport)}
    return {"durability": sorted(set(receipts))} if receipts else {"removed": removed} if removed else {}
