"""Tamper evidence of the SQL drivers: switching it on and off, and the hook that verifies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import NotSupportedError
from whisper_persistence.hookspecs import IntegritySpecs, hookimpl
from whisper_persistence_drivers.sql import on_use
from whisper_persistence_drivers.sql.chain_mark import check_mark
from whisper_persistence_drivers.sql.lifecycle import KEPT, SqlLifecycle


@attrs.define(eq=False)
class SqlChaining(SqlLifecycle, IntegritySpecs):
    """A SQL driver's hash chains, which its options ``tamper_evidence`` and ``tamper_key`` are about."""

    def sealer(self) -> on_use.chaining.Sealer | None:
        """Return how hashes are made; ``None`` where chains are off."""
        return on_use.chaining.Sealer((self.tamper_key or "").encode()) if self.tamper_evidence else None

    def start_chains(self) -> None:
        """Begin to keep chains, or go on with those that there are."""
        sealer = self.sealer()
        marked = self._read(check_mark, sealer, self.tier)
        if sealer is None or (self.tamper_evidence == KEPT and not marked):
            self._stop_linking()
            return
        self._make_links = lambda: on_use.chaining.Links(sealer)
        if not marked:
            on_use.chain_start.start(self._write, sealer)

    def _stop_linking(self) -> None:
        self.tamper_evidence, self._make_links = False, None

    @hookimpl
    def verify_conversations(self, conversation_ids: Sequence[str], anchors: Mapping[str, str]) -> rec.ChainReport:
        """Walk along the chains."""
        return on_use.chain_walk.verify(self._read, self._own_sealer(), self.tier, conversation_ids, anchors)

    @hookimpl
    def remove_chains(self) -> int:
        """Remove the chains and the mark in one transaction, and link nothing from then on."""
        self._own_sealer()
        removed = self._write(on_use.chain_start.remove)
        self._stop_linking()
        return removed

    def _own_sealer(self) -> on_use.chaining.Sealer:
        sealer = self.sealer()
        if sealer is None:
            raise NotSupportedError(f"driver {self.tier!r} keeps no hash chains: set its option tamper_evidence = true")
        return sealer
