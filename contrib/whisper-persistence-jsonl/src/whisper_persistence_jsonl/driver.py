"""The driver: it takes conversations over, and leaves everything else to the drivers below it."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import ClassVar

import attrs

from whisper_persistence.errors import ConfigurationError, StorageUnavailableError
from whisper_persistence.hookspecs import (
    Below,
    ConversationSpecs,
    FollowerSpecs,
    LifecycleSpecs,
    MaintenanceSpecs,
    hookimpl,
)
from whisper_persistence.paths import absolute_path
from whisper_persistence.records import (
    Message,
    MessageChange,
    Page,
    Receipt,
    Retention,
    Revision,
    State,
    Thing,
    TierHealth,
    TierReport,
    Window,
)
from whisper_persistence_jsonl.conversation import Conversation
from whisper_persistence_jsonl.drafts import Addition, Rewrite
from whisper_persistence_jsonl.folder import Folder
from whisper_persistence_jsonl.shelf import Shelf

_TIER = "jsonl"
_REMAINING = ("snapshots and backups of the directory",)


@attrs.define(eq=False)
class JsonlDriver(LifecycleSpecs, ConversationSpecs, MaintenanceSpecs, FollowerSpecs):
    """One JSON Lines file a conversation.

    Attributes:
        directory: where the files are kept; made if it is not there.
        timeout: how many seconds a call waits for other threads and processes.
    """

    contract_version: ClassVar[int] = 1

    directory: Path = attrs.field(converter=absolute_path)
    timeout: float = attrs.field(default=30.0, converter=float, validator=attrs.validators.gt(0))
    _folder: Folder = attrs.field(init=False, repr=False)
    _shelf: Shelf = attrs.field(init=False, repr=False)
    _below: Below = attrs.field(init=False, repr=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Make the directory, and see that it can be written."""
        name = hashlib.sha256(namespace.encode()).hexdigest()[:32]
        self._below = below
        self._folder = Folder(self.directory / name, self.timeout)
        self._shelf = Shelf(self._folder)
        try:
            self._folder.prepare()
        except OSError as error:
            problem = type(error).__name__
            raise ConfigurationError(
                f"driver 'jsonl': directory {str(self.directory)!r} cannot be written ({problem}): choose another"
            ) from None

    @hookimpl
    def close(self) -> None:
        """Forget what was learned of the files; none of them stays open between calls."""
        self._shelf = Shelf(self._folder)

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        """Append each message to the file of its conversation."""
        with self._folder.locked():
            drafts: dict[str, Addition] = {}
            for name in map(self._name, messages):
                drafts.setdefault(name, Addition.to(self._shelf.find(name)))
            receipts = [drafts[self._name(message)].append(message) for message in messages]
            self._folder.commit({name: draft.write() for name, draft in drafts.items() if draft.added})
        return receipts

    @hookimpl
    def load_messages(self, windows: Sequence[Window]) -> Mapping[Window, tuple[Message, ...]]:
        """Read the lines that each window shows."""
        found: dict[Window, tuple[Message, ...]] = {}
        with self._folder.locked():
            for window in windows:
                name = self._name(window)
                places = self._shelf.find(name).window(window)
                if places:
                    found[window] = self._shelf.read(name, places)
        return found

    @hookimpl
    def update_messages(self, changes: Sequence[MessageChange]) -> Sequence[Receipt]:
        """Write the conversations anew, with the changes applied."""
        with self._folder.locked():
            drafts: dict[str, Rewrite] = {}
            receipts: list[Receipt] = []
            for change in changes:
                name = self._name(change)
                draft = drafts.get(name) or self._rewrite(name, self._shelf.find(name))
                key = self._folder.keyed(change.change_id)
                receipts.append(drafts.setdefault(name, draft).apply(change, key))
            self._folder.commit({name: draft.write() for name, draft in drafts.items() if draft.changed})
        return receipts

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> Page | None:
        """Walk through the messages by conversation and sequence; every other kind is found below."""
        if kind != "messages":
            return self._below.scan(kind=kind, cursor=cursor, limit=limit)
        after, _, first = (cursor or "0:").partition(":")
        messages: list[Message] = []
        with self._folder.locked():
            for conversation_id in (known for known in self._shelf.conversation_ids() if known >= first):
                name = self._folder.name_of(conversation_id)
                places = self._shelf.find(name).places.values()
                later = (place for place in places if conversation_id != first or place.sequence > int(after))
                messages += self._shelf.read(name, islice(later, limit - len(messages)))
                if len(messages) == limit:
                    return Page(tuple(messages), f"{messages[-1].sequence}:{conversation_id}")
        return Page(tuple(messages))

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[TierReport, ...]:
        """Write anew every conversation that a user wrote in or is spoken to in, without those messages."""
        users = frozenset(user_ids)
        report = self._remove(lambda _: lambda m: m.belongs_to(users), erased=True, dry_run=False)
        return (report, *(self._below.erase_users(user_ids=user_ids) or ()))

    @hookimpl
    def expire(self, policies: Sequence[Retention], dry_run: bool) -> tuple[TierReport, ...]:
        """Write anew the conversations that hold messages the policies no longer keep."""
        ours = [policy for policy in policies if policy.kind == "messages"]
        report = self._remove(_expired(ours), erased=False, dry_run=dry_run)
        return (report, *(self._below.expire(policies=policies, dry_run=dry_run) or ()))

    @hookimpl
    def load_revisions(self, things: Sequence[Thing]) -> Mapping[Thing, Revision] | None:
        """Add the counters of conversations to those of users from below; ``None`` where nobody below keeps users."""
        below = self._below.load_revisions(things=[thing for thing in things if thing.kind != "conversation"])
        if below is None:
            return None
        with self._folder.locked():
            ours = {t: self._shelf.find(self._folder.name_of(t.thing_id)) for t in things if t.kind == "conversation"}
        return {**below, **{thing: found.counters() for thing, found in ours.items() if found.size}}

    @hookimpl
    def check_health(self) -> tuple[TierHealth, ...]:
        """Take the lock and count the files."""
        begin = time.perf_counter()
        try:
            with self._folder.locked():
                details = {"conversations": len(self._folder.names())}
            health = TierHealth(_TIER, State.UP, time.perf_counter() - begin, details)
        except StorageUnavailableError as error:
            health = TierHealth(_TIER, State.DOWN, details={"problem": str(error)})
        return (health, *(self._below.check_health() or ()))

    def _name(self, thing: Message | Window | MessageChange) -> str:
        return self._folder.name_of(thing.conversation_id)

    def _rewrite(self, name: str, conversation: Conversation) -> Rewrite:
        return Rewrite.of(
            conversation, self._shelf.read(name, conversation.places.values()) if conversation.size else ()
        )

    def _remove(
        self, unwanted: Callable[[Rewrite], Callable[[Message], bool]], *, erased: bool, dry_run: bool
    ) -> TierReport:
        with self._folder.locked():
            drafts = {name: self._rewrite(name, conversation) for name, conversation in self._shelf.find_all()}
            removed = sum(draft.remove(unwanted(draft), erased=erased) for draft in drafts.values())
            changed = {} if dry_run else {name: draft.write() for name, draft in drafts.items() if draft.changed}
            self._folder.commit(changed)
        return TierReport(_TIER, {"messages": removed}, tuple(changed), _REMAINING)


def _expired(policies: Sequence[Retention]) -> Callable[[Rewrite], Callable[[Message], bool]]:
    """Return what finds the expired messages of one conversation after the other, as many as may go at once."""
    left = min((policy.limit for policy in policies if policy.limit is not None), default=sys.maxsize)

    def find(draft: Rewrite) -> Callable[[Message], bool]:
        nonlocal left
        newest_first = enumerate(reversed(draft.messages.values()), 1)
        expired = [m.message_id for place, m in newest_first if any(_drops(policy, m, place) for policy in policies)]
        gone = set(expired[::-1][:left])
        left -= len(gone)
        return lambda message: message.message_id in gone

    return find


def _drops(policy: Retention, message: Message, place: int) -> bool:
    return policy.drops(
        message.timestamp, place, message.user_id, message.author_id if message.role == "user" else None
    )
