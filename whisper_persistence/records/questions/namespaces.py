"""The question that compares the bots of one database."""

from __future__ import annotations

import attrs

from whisper_persistence.records.fields import Positive
from whisper_persistence.records.questions.base import Answer, Question


@attrs.frozen
class NamespaceSummary:
    """What is kept of one bot or character.

    Attributes:
        namespace: which.
        users: how many users anything is kept of.
        memories: how many memories have a score.
        mean_importance: the mean of their scores, or ``None`` where there are none.
        core_memories: how many of them reach `CORE_AT`.
        interventions: how many outcomes are kept.
        successes: how many of them reach `SUCCESS_AT`.
        mean_effectiveness: the mean of their scores, or ``None`` where there are none.
        messages: how many messages are kept, by anybody, cleared ones included.
    """

    namespace: str
    users: int
    memories: int
    mean_importance: float | None
    core_memories: int
    interventions: int
    successes: int
    mean_effectiveness: float | None
    messages: int


@attrs.frozen
class NamespacesAnswer(Answer):
    """The answer to `CompareNamespaces`.

    Attributes:
        rows: by namespace.
        hidden: how many namespaces were left out because they have too few users.
    """

    rows: tuple[NamespaceSummary, ...] = ()
    hidden: int = 0


@attrs.frozen
class CompareNamespaces(Question[NamespacesAnswer]):
    """How do the bots of one database compare? Only what the database lets the asking bot see is counted.

    Attributes:
        minimum_group: namespaces of fewer users are left out.
    """

    minimum_group: Positive = 1
