"""Reading through Redis: what is found there is shown only where the database of record says that it is current."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import attrs

from whisper_persistence.hookspecs import Below
from whisper_persistence.records import Message, Thing, Window
from whisper_persistence_drivers.redis_cache.flights import Flights
from whisper_persistence_drivers.redis_cache.near import Held
from whisper_persistence_drivers.redis_cache.newest import Newest, is_plain
from whisper_persistence_drivers.redis_cache.recents import BEYOND, Hit, Lease, Recents


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
        at_hand = self._at_hand(windows)
        if at_hand is not None:
            return at_hand
        wanted = self._wanted(windows)
        cached, fetched = self._newest(wanted) if wanted else ({}, {})
        shown: dict[Window, tuple[Message, ...]] = {}
        rest: list[Window] = []
        hits = 0
        for window in windows:
            name = window.conversation_id
            newest = cached.get(name) or fetched.get(name)
            answer = newest.show(window) if newest and self._may_show(window) else None
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

    def refill(self, leases: Mapping[str, str], revisions: Mapping[str, int]) -> dict[str, Newest]:
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
            fetched = {name: Newest.of(after[name], pages.get(Window(name, limit + 1), ()), limit) for name in leases}
            steady = {name: token for name, token in leases.items() if after[name] == before[name]}
            for token in set(steady.values()):
                self.recents.fill(token, {name: fetched[name] for name in steady if steady[name] == token})
        return fetched

    def revisions(self, conversations: Iterable[str]) -> dict[str, int]:
        """Return the revisions that the database of record has now; 0 for what was never written."""
        things = [Thing("conversation", name) for name in conversations]
        if not things:
            return {}
        found = self.below.load_revisions(things=things) or {}
        known = {thing.thing_id: standing.revision for thing, standing in found.items()}
        return {thing.thing_id: known.get(thing.thing_id, 0) for thing in things}

    def _at_hand(self, windows: Sequence[Window]) -> dict[Window, tuple[Message, ...]] | None:
        """Answer what is asked most, the newest messages of conversations, where all are held here and current.

        It is what the rest of this class would do, less what it takes to be ready for anything else.
        """
        began, wanted = time.monotonic(), dict[str, int]()
        for window in windows:
            if not self._is_common(window):
                return None
            wanted[window.conversation_id] = max(window.limit + 1, wanted.get(window.conversation_id, 0))
        held = self.recents.near.find(wanted)
        if len(held) < len(wanted):
            return None
        if not self._are_current(held, began):
            return None
        shown = {w: held[w.conversation_id].newest(w.limit + 1).show(w) for w in windows}
        if None in shown.values():
            return None
        self.recents.exchange.counters.add(hits=len(windows))
        return {window: answer for window, answer in shown.items() if answer}

    def _are_current(self, held: Mapping[str, Held], began: float) -> bool:
        """Say whether what was found here at a moment may all be shown, asking the database if need be."""
        staleness = self.recents.limits.staleness
        doubtful = {name: each for name, each in held.items() if not self._is_certain(name, each, began)}
        revisions = self.revisions(doubtful)
        if any(revisions[name] != each.revision for name, each in doubtful.items()):
            return False
        if staleness and doubtful:
            self.recents.near.confirm(doubtful, began)
        return True

    def _is_certain(self, name: str, held: Held, began: float) -> bool:
        """Say whether what is held here may be shown unasked."""
        if began - held.confirmed > self.recents.limits.staleness:
            return False
        return self.recents.written.are_in(name, held.revision, held.confirmed)

    def _is_common(self, window: Window) -> bool:
        return is_plain(window) and self._may_show(window)

    def _may_show(self, window: Window) -> bool:
        """Say whether the newest messages may be what a window shows; one message by its id is asked for below."""
        return window.limit <= self.recents.limits.recent and window.message_id is None

    def _wanted(self, windows: Sequence[Window]) -> dict[str, int]:
        """Return which conversations to ask Redis for, and how many of their newest messages each, 0 for all."""
        wanted: dict[str, int] = {}
        for window in windows:
            if self._may_show(window):
                number = window.limit + 1 if is_plain(window) else 0
                known = wanted.get(window.conversation_id, 1)
                wanted[window.conversation_id] = max(number, known) if number and known else 0
        return wanted

    def _newest(self, wanted: Mapping[str, int]) -> tuple[dict[str, Newest], dict[str, Newest]]:
        """Return current newest messages: those that Redis had, and those that were fetched for it."""
        cached, fetched, missed = self._look(wanted)
        waited = self.flights.wait(missed)
        if waited:
            found, also, _ = self._look({name: wanted[name] for name in waited})
            cached, fetched = cached | found, fetched | also
        return cached, fetched

    def _look(self, wanted: Mapping[str, int]) -> tuple[dict[str, Newest], dict[str, Newest], list[str]]:
        """Look here, in Redis and in the database; return also what somebody else may be about to fetch."""
        began, held = time.monotonic(), self.recents.near.find(wanted)
        lately = {name for name, each in held.items() if self._is_certain(name, each, began)}
        absent = {name: number for name, number in wanted.items() if name not in held}
        found, revisions = self._ask(absent, held.keys() - lately)
        current = {name: each for name, each in held.items() if name in lately or revisions[name] == each.revision}
        if self.recents.limits.staleness:
            self.recents.near.confirm({name: current[name] for name in current if name not in lately}, began)
            self._confirm(found, revisions, began)
        overtaken = {name: wanted[name] for name in held if name not in current}
        if overtaken:
            found |= self.recents.ask(overtaken).answers()
        hits, fetched = self._judge(found, revisions)
        cached = hits | {name: each.newest(wanted[name]) for name, each in current.items()}
        return cached, fetched, [name for name in found if name not in cached and name not in fetched]

    def _ask(
        self, absent: Mapping[str, int], doubtful: AbstractSet[str]
    ) -> tuple[dict[str, Hit | Lease | None], dict[str, int]]:
        """Return what Redis has of the absent, and the revisions of all that must not be shown unasked.

        Where everything must be checked, the database is asked while Redis thinks; where not, afterwards, so that what
        it confirms had been read before.
        """
        strict = not self.recents.limits.staleness
        asked = self.recents.ask(absent) if absent else None
        known: dict[str, int] = {}
        found: dict[str, Hit | Lease | None] = {}
        try:
            if strict:
                known = self.revisions({*absent, *doubtful})
        finally:
            if asked is not None:
                found = asked.answers()
        if not strict:
            unsure = {name for name, hit in found.items() if isinstance(hit, Hit) and not hit.lately}
            known = self.revisions(unsure | doubtful)
        return found, known

    def _confirm(self, found: dict[str, Hit | Lease | None], revisions: Mapping[str, int], began: float) -> None:
        """Note of what Redis had, and the database confirmed after that, that it did."""
        hits = {
            name: hit
            for name, hit in found.items()
            if isinstance(hit, Hit) and not hit.lately and revisions[name] == hit.revision
        }
        self.recents.confirm(hits)
        found |= {name: attrs.evolve(hit, confirmed=began) for name, hit in hits.items()}

    def _judge(
        self, found: Mapping[str, Hit | Lease | None], revisions: Mapping[str, int]
    ) -> tuple[dict[str, Newest], dict[str, Newest]]:
        """Return what Redis had that is current, which is kept here, and what was fetched where it had not."""
        hits = {name: hit for name, hit in found.items() if isinstance(hit, Hit)}
        current = {name: hit for name, hit in hits.items() if revisions.get(name, hit.revision) == hit.revision}
        stale = {name: hit.revision for name, hit in hits.items() if name not in current}
        leases = {name: lease.token for name, lease in found.items() if isinstance(lease, Lease)}
        leases |= self._reclaim(stale, revisions)
        cached = {name: newest for name, hit in current.items() if (newest := hit.read())}
        for name, newest in cached.items():
            self.recents.near.put(name, newest, current[name].confirmed)
        return cached, self.refill(leases, revisions) if leases else {}

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
