"""Broken drivers for followers, claims and namespaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import Embedding, Lease, Pending, Receipt, Strategy, Vector, Window
from whisper_persistence.testing.broken.breaking import Breaker, caught_by


@caught_by("test_nothing_is_seen_from_another_namespace")
class LeaksANamespace(Breaker):
    """Keeps a cache whose keys lack the namespace."""

    @hookimpl
    def save_strategies(self, strategies: Sequence[Strategy]) -> Sequence[Receipt] | None:
        """Save, and fill the cache."""
        self.world.update({strategy.user_id: strategy for strategy in strategies})
        return self.below.save_strategies(strategies=strategies)

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, Strategy]:
        """Return what is stored, or what the cache has."""
        cached = {user: self.world[user] for user in user_ids if user in self.world}
        return {**cached, **(self.below.load_strategies(user_ids=user_ids) or {})}


@caught_by("test_every_hook_that_is_not_claimed_is_refused")
class FakesEmbedding(Breaker):
    """Returns nothing for a vector where it has no embedder."""

    @hookimpl
    def embed(self, texts: Sequence[str]) -> Sequence[Embedding]:
        """Return empty vectors."""
        return [Embedding("none", b"") for _ in texts]


@caught_by("test_a_vector_of_older_words_comes_too_late", "durable")
class KeepsLateVectors(Breaker):
    """Keeps a vector whatever became of the words that it is of."""

    @hookimpl
    def save_vectors(self, vectors: Sequence[Vector]) -> Sequence[Receipt] | None:
        """Pretend that they are of the words that are there."""
        windows = [Window(vector.conversation_id, 1, message_id=vector.message_id) for vector in vectors]
        found = self.below.load_messages(windows=windows) or {}
        edits = [message.edited_at for window in windows for message in found[window]]
        pairs = zip(vectors, edits, strict=True)
        return self.below.save_vectors(vectors=[attrs.evolve(vector, edited_at=edit) for vector, edit in pairs])


@caught_by("test_a_strategy_and_its_outcomes_are_told")
class TellsNoOutcomes(Breaker):
    """Tells followers of strategies and not of their outcomes."""

    @hookimpl
    def load_pending(self, follower: str, limit: int) -> tuple[Pending, ...]:
        """Return all but outcomes."""
        pending = self.below.load_pending(follower=follower, limit=limit) or ()
        return tuple(each for each in pending if each.kind != "outcomes")


@caught_by("test_clearing_stops_at_the_revision_that_was_seen")
class ClearsTooMuch(Breaker):
    """Forgets pending work that nobody has seen yet."""

    @hookimpl
    def clear_pending(self, pending: Sequence[Pending]) -> int | None:
        """Clear whatever the revision."""
        return self.below.clear_pending(pending=[attrs.evolve(each, revision=2**62) for each in pending])


@caught_by("test_what_is_cleared_under_an_older_fence_stays")
class HeedsNoFence(Breaker):
    """Lets a process that was frozen for too long clear what another one works off by now."""

    @hookimpl
    def clear_pending(self, pending: Sequence[Pending]) -> int | None:
        """Clear whatever the fence."""
        return self.below.clear_pending(pending=[attrs.evolve(each, fence=0) for each in pending])


@caught_by("test_a_lease_that_ran_out_is_the_next_ones_and_its_last_holder_is_told")
class LeasesForEver(Breaker):
    """Keeps a lease for whoever had it first, dead or alive."""

    @hookimpl
    def lease_follower(self, lease: Lease) -> Lease | None:
        """Give it for an hour, however short it is asked for."""
        return self.below.lease_follower(lease=attrs.evolve(lease, seconds=3_600.0 if lease.seconds else 0.0))


@caught_by("test_one_has_a_lease_at_a_time")
class LeasesToAnybody(Breaker):
    """Gives a lease to everybody who asks."""

    @hookimpl
    def lease_follower(self, lease: Lease) -> Lease | None:
        """Take it from whoever has it first."""
        standing = self.below.lease_follower(lease=Lease(lease.follower))
        if standing is not None and lease.seconds:
            self.below.lease_follower(lease=attrs.evolve(standing, seconds=0.0))
        return self.below.lease_follower(lease=lease)
