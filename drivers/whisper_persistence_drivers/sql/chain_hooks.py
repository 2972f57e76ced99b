"""Tamper evidence of the SQL drivers: switching it on, and the hook that verifies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import NotSupportedError
from whisper_persistence.hookspecs import IntegritySpecs, hookimpl
from whisper_persistence_drivers.sql import chain_start, chain_walk
from whisper_persistence_drivers.sql.chaining import Links, Sealer
from whisper_persistence_drivers.sql.lifecycle import SqlLifecycle


@attrs.define(eq=False)
class SqlChaining(SqlLifecycle, IntegritySpecs):
    """A SQL driver's hash chains, which its options ``tamper_evidence`` and ``tamper_key`` are about."""

    def sealer(self) -> Sealer | None:
        """Return how hashes are made; ``None`` where chains are off."""
        return Sealer((self.tamper_key or "").encode()) if self.tamper_evidence else None

    def start_chains(self) -> None:
        """Begin to keep chains, or go on with those that there are."""
        sealer = self.sealer()
        marked = self._read(chain_start.check_mark, sealer, self.tier)
        if sealer is not None:
            self._make_links = lambda: Links(sealer)
            if not marked:
                chain_start.start(self._write, sealer)

    @hookimpl
    def verify_conversations(self, conversation_ids: Sequence[str], anchors: Mapping[str, str]) -> rec.ChainReport:
        """Walk along the chains."""
        sealer = self.sealer()
        if sealer is None:
            raise NotSupportedError(f"driver {self.tier!r} keeps no hash chains: set its option tamper_evidence = true")
        return chain_walk.verify(self._read, sealer, self.tier, conversation_ids, anchors)
