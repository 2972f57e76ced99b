"""Evidence that nobody changed what is kept behind the store's back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import ChainReport


class IntegritySpecs:
    """Hash chains over conversations, in databases of record that keep them; optional."""

    @hookspec(firstresult=True)
    def verify_conversations(self, conversation_ids: Sequence[str], anchors: Mapping[str, str]) -> ChainReport | None:
        """Check the chains of conversations, and name the first row of each that is not what was written.

        Legitimate writes by any process never break a chain, not even while it is being verified.

        Args:
            conversation_ids: which conversations; empty for all, including removed ones.
            anchors: `ChainReport.heads` of an earlier run, kept elsewhere; empty for none. A chain must still
                contain them.

        Raises:
            NotSupportedError: the driver can keep chains, but its settings do not ask for them.
        """

    @hookspec(firstresult=True)
    def remove_chains(self) -> int | None:
        """Remove all chains, so that programs without chains may write from then on; the conversations stay.

        Nobody else may write meanwhile: a program that still keeps chains would add an incomplete one.

        Returns:
            How many conversations had a chain.

        Raises:
            NotSupportedError: the driver can keep chains, but its settings do not ask for them.
        """
