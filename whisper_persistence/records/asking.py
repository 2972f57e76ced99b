"""Questions for analytics."""

from __future__ import annotations

import attrs


@attrs.frozen
class Question:
    """The base of every question that `aggregate` answers: a closed set of typed questions, never SQL from callers."""


@attrs.frozen
class Answer:
    """The base of every answer; each question's docstring names its own."""
