"""Questions over many users."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import Answer, Question

A = TypeVar("A", bound="Answer")


class AnalyticsSpecs:
    """Questions over many users."""

    @hookspec(firstresult=True)
    def aggregate(self, question: Question[A]) -> A | None:
        """Answer one question, by the class of answer that it names.

        Only the records of the store's namespace count, except for `CompareNamespaces`. Everything written before the
        question is counted, unless an option of the driver allows older answers; erased records are never counted.

        Returns:
            ``None`` for a question that this driver does not know, or whose subject it does not keep.
        """
