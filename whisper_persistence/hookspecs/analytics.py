"""Questions over many users."""

from __future__ import annotations

from whisper_persistence.hookspecs.markers import hookspec
from whisper_persistence.records import Answer, Question


class AnalyticsSpecs:
    """Questions over many users."""

    @hookspec(firstresult=True)
    def aggregate(self, question: Question) -> Answer | None:
        """Answer one question; ``None`` for a question this driver does not know."""
