"""Reading through Redis: what is found there is shown only where the database of record says that it is current."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

import attrs

from whisper_persistence.hookspecs import Below
from whisper_persistence.records import Message, Revision, Thing, Window
from whisper_persistence_drivers.redis_cache.content import Content
from whisper_persistence_drivers.redis_cache.flights import Flights
from whisper_persistence_drivers.redis_cache.recents import BEYOND, Hit, Lease, Recents, read


@attrs.define(eq=False)
class Reader:
    """Answers windows from Redis where that is provably right, and from below otherwise.

    Attributes:
        recents: what Redis holds.
        below: the database of record, through whatever layers stand between.
        flights: the refills on their way.
    """

    recents: Recents
    below: Below
    flights: Flights

    def load(self, windows: Sequence[Window]) -> Mapping[Window, tuple[Message, ...]] | None:
        """Return what each window shows; windows that show nothing are absent."""
        wanted = self._wanted(windows)
        cached, fetched = self._contents(wanted) if wanted else ({}, {})
        shown: dict[Window, tuple[Message, ...]] = {}
        rest: list[Window] = []
        hits = 0
        for window in windows:
            name = window.conversation_id
            content = cached.get(name) or fetched.get(name)
            answer = content.show(window) if content and self._may_show(window) else None
            if answer is None:
                rest.append(window)
            elif answer:
                shown[window] = answer
            hits += answer is not None and name in cached
        self.recents.exchange.counters.add(hits=hits, misses=len(windows) - hits)
        if not rest:
            return shown
        asked = self.below.load_messages(windows=rest)
        return None if asked is None else {**shown, **asked}

    def refill(self, leases: Mapping[str, str], revisions: Mapping[str, int]) -> dict[str, Content]:
        """Fetch conversations whose leases, by conversation, were granted before, and put them into Redis.

        What is put there stood in the database at the very revision that it is labelled with, since that was the same
        before the messages were read and after; a conversation that changed meanwhile is fetched, and not put there.

        Args:
            leases: the token of each conversation's lease.
            revisions: those of their revisions that were asked for already, within this call of the driver.
        """
        limit = self.recents.limits.recent
        with self.flights.over(leases):
            before = {**self.revisions(name for name in leases if name not in revisions), **revisions}
            pages = self.below.load_messages(windows=[Window(name, limit + 1) for name in leases]) or {}
            after = self.revisions(leases)
            contents = {name: Content.of(after[name], pages.get(Window(name, limit + 1), ()), limit) for name in leases}
            steady = {name: token for name, token in leases.items() if after[name] == before[name]}
            for token in set(steady.values()):
                self.recents.fill(token, {name: contents[name] for name in steady if steady[name] == token})
        return contents

    def revisions(self, conversations: Iterable[str]) -> dict[str, int]:
        """Return the revisions that the database of record has now; 0 for what was never written."""
        things = {name: Thing("conversation", name) for name in conversations}
        if not things:
            return {}
        found = self.below.load_revisions(things=list(things.values())) or {}
        return {name: found.get(thing, Revision()).revision for name, thing in things.items()}

    def _may_show(self, window: Window) -> bool:
        """Say whether the newest messages may be what a window shows; one message by its id is asked for below."""
        return window.limit <= self.recents.limits.recent and window.message_id is None

    def _wanted(self, windows: Sequence[Window]) -> dict[str, int]:
        """Return which conversations to ask Redis for, and how many of their newest messages each, 0 for all."""
        wanted: dict[str, int] = {}
        for window in windows:
            if self._may_show(window):
                plain = window.before is None and window.after is None and window.user_id is None
                number, known = window.limit + 1 if plain else 0, wanted.get(window.conversation_id, 1)
                wanted[window.conversation_id] = max(number, known) if number and known else 0
        return wanted

    def _contents(self, wanted: Mapping[str, int]) -> tuple[dict[str, Content], dict[str, Content]]:
        """Return current contents: those that Redis had, and those that were fetched for it."""
        cached, fetched, missed = self._look(wanted)
        waited = self.flights.wait(missed)
        if waited:
            found, also, _ = self._look({name: wanted[name] for name in waited})
            cached, fetched = cached | found, fetched | also
        return cached, fetched

    def _look(self, wanted: Mapping[str, int]) -> tuple[dict[str, Content], dict[str, Content], list[str]]:
        """Look here, in Redis and in the database; return also what somebody else may be about to fetch."""
        cached, revisions = self._look_near(wanted)
        rest = {name: number for name, number in wanted.items() if name not in cached}
        if not rest:
            return cached, {}, []
        found, revisions = self._ask(rest, revisions)
        hits = {name: hit for name, hit in found.items() if isinstance(hit, Hit)}
        current = {
            name: hit for name, hit in hits.items() if revisions.get(name, hit.held.revision) == hit.held.revision
        }
        cached |= self._keep(current)
        leases = {name: lease.token for name, lease in found.items() if isinstance(lease, Lease)}
        leases |= self._reclaim(
            {name: hit.held.revision for name, hit in hits.items() if name not in current}, revisions
        )
        fetched = self.refill(leases, revisions) if leases else {}
        return cached, fetched, [name for name in rest if name not in cached and name not in fetched]

    def _look_near(self, wanted: Mapping[str, int]) -> tuple[dict[str, Content], dict[str, int]]:
        """Return what this process holds that is current, and the revisions of all, if they were asked for."""
        near, began = self.recents.near, time.monotonic()
        held = {name: found for name, number in wanted.items() if (found := near.get(name, number))}
        lately = {
            name: found for name, found in held.items() if began - found.confirmed <= self.recents.limits.staleness
        }
        revisions = self.revisions(wanted) if held and not lately else {}
        current = {name: found for name, found in held.items() if revisions.get(name) == found.revision}
        if self.recents.limits.staleness:
            for name, found in current.items():
                near.put(name, attrs.evolve(found, confirmed=began))
        contents = {name: read(found, wanted[name]) for name, found in (lately | current).items()}
        return {name: content for name, content in contents.items() if content}, revisions

    def _ask(
        self, wanted: Mapping[str, int], revisions: dict[str, int]
    ) -> tuple[dict[str, Hit | Lease | None], dict[str, int]]:
        """Return what Redis has, and the revisions of all that must not be shown unasked.

        Where everything must be checked, the database is asked while Redis thinks.
        """
        strict = not self.recents.limits.staleness
        asked = self.recents.ask(wanted)
        try:
            known = revisions or (self.revisions(wanted) if strict else {})
        finally:
            found = asked.answers()
        if not strict and not known:
            known = self.revisions(name for name, hit in found.items() if isinstance(hit, Hit) and not hit.lately)
        return found, known

    def _keep(self, current: Mapping[str, Hit]) -> dict[str, Content]:
        """Remember recents that are current, here and, where that is of use to others, in Redis."""
        confirmed = {name: hit for name, hit in current.items() if not hit.lately}
        if confirmed and self.recents.limits.staleness:
            self.recents.confirm(confirmed)
        for name, hit in current.items():
            self.recents.near.put(name, hit.held)
        contents = {name: read(hit.held, 0) for name, hit in current.items()}
        return {name: content for name, content in contents.items() if content}

    def _reclaim(self, stale: Mapping[str, int], revisions: Mapping[str, int]) -> dict[str, str]:
        """Remove what is not current, and return the leases on it.

        Ahead of a revision asked for afterwards is only what a database had that was set back to an earlier state.
        """
        if not stale:
            return {}
        self.recents.exchange.counters.add(stale=len(stale))
        ahead = [name for name, label in stale.items() if label > revisions[name]]
        later = self.revisions(ahead)
        self.recents.drop({name: BEYOND for name in ahead if stale[name] > later[name]})
        token, answers = self.recents.reclaim({name: revisions[name] for name in stale if name not in ahead})
        return {name: token for name, answer in answers.items() if answer == b"lease"}
