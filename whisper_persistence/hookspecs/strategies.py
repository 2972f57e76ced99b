"""How to support each user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import Outcome, OutcomeQuery, Receipt, Strategy, StrategyChange


class StrategySpecs:
    """How to support each user."""

    @hookspec(firstresult=True)
    def save_strategies(self, strategies: Sequence[Strategy]) -> Sequence[Receipt] | None:
        """Put whole strategies, replacing what is stored (import, migration). Leaves the outcomes alone."""

    @hookspec(firstresult=True)
    def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, Strategy] | None:
        """Return the strategies of these users, by user id."""

    @hookspec(firstresult=True)
    def update_strategies(self, changes: Sequence[StrategyChange]) -> Sequence[Receipt] | None:
        """Apply changes by `StrategyChange.apply_to`, and append their outcomes to the users' histories.

        A change whose ``change_id`` was applied before changes nothing; an outcome whose ``outcome_id`` is stored is
        left out of the change.
        """

    @hookspec(firstresult=True)
    def load_outcomes(self, queries: Sequence[OutcomeQuery]) -> Mapping[OutcomeQuery, tuple[Outcome, ...]] | None:
        """Return a page of each user's outcomes, newest first; users without any are absent."""
