"""Broken drivers for questions over many users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import ImportanceByUser, Question, TierReport
from whisper_persistence.testing.broken.breaking import Breaker, caught_by


@caught_by("test_an_erased_user_counts_no_more")
class AnswersFromMemory(Breaker):
    """Keeps an answer for good, so that an erased user still counts."""

    @hookimpl
    def aggregate(self, question: Question[Any]) -> Any:
        """Answer as the first time."""
        key = repr(question)
        if key not in self.world:
            self.world[key] = self.below.aggregate(question=question)
        return self.world[key]

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[TierReport, ...] | None:
        """Erase below alone."""
        return self.below.erase_users(user_ids=user_ids)


@caught_by("test_every_answer_is_that_of_the_reference")
class NamesSmallGroups(Breaker):
    """Shows groups however few users are in them."""

    @hookimpl
    def aggregate(self, question: Question[Any]) -> Any:
        """Ask without the smallest size."""
        asked: Any = question
        return self.below.aggregate(
            question=attrs.evolve(asked, minimum_group=1) if hasattr(asked, "minimum_group") else asked
        )


@caught_by("test_every_answer_is_that_of_the_reference")
class MisplacesDeciles(Breaker):
    """Gives the median for the first decile."""

    @hookimpl
    def aggregate(self, question: Question[Any]) -> Any:
        """Answer with other deciles."""
        answer = self.below.aggregate(question=question)
        if answer is None or not isinstance(question, ImportanceByUser):
            return answer
        rows = tuple(attrs.evolve(row, deciles=(row.median, *row.deciles[1:])) for row in answer.rows)
        return attrs.evolve(answer, rows=rows)
