"""Evidence that nobody changed what is kept, past the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import ChainReport


class IntegritySpecs:
    """Hash chains over conversations, of databases of record that keep them; a driver need not have this."""

    @hookspec(firstresult=True)
    def verify_conversations(self, conversation_ids: Sequence[str], anchors: Mapping[str, str]) -> ChainReport | None:
        """Walk along the chains of conversations, and name the first row of each that is not what was written.

        Legitimate writes, of whatever process, never make one wrong, also while it is verified.

        Args:
            conversation_ids: which; empty for all that there are, or ever were.
            anchors: `ChainReport.heads` of an earlier time that was kept elsewhere; empty for none. A chain must still
                contain them.

        Raises:
            NotSupportedError: the driver can keep chains, and its settings say not to.
        """

    @hookspec(firstresult=True)
    def remove_chains(self) -> int | None:
        """Remove all chains, so that from then on programs that keep none may write; the conversations stay.

        Nobody else may write meanwhile: what a program that keeps chains adds afterwards would be their end alone.

        Returns:
            How many conversations had one.

        Raises:
            NotSupportedError: the driver can keep chains, and its settings say not to.
        """
