"""Which turns belong together: a turn alone says little, and what was said around it tells what it is about.

The neighbours of a message are the messages of the same user, conversation and session, at most `RADIUS` away. Their
influence decays with the distance, faster backwards than forwards, since an answer is about its question more than the
question about its answer: both for the words of a turn (its neighbours' count as words of its own, by these weights)
and for its meaning (its vector is the sum of theirs, by these weights).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

#: Neighbours further away say nothing about a turn.
RADIUS: Final = 4
#: Each step leaves so much of a turn's influence on those after it, and on those before it.
FORWARDS: Final = 0.7
BACKWARDS: Final = 0.5
#: A silence longer than this ends a session.
SESSION_GAP: Final = timedelta(hours=1)
#: How many places lie between the sessions of a conversation, so that no neighbourhood reaches into another.
_APART: Final = 2 * RADIUS + 1


def next_place(place: int, before: datetime, moment: datetime) -> int:
    """Return the place of a message in its user's part of a conversation.

    Neighbours are those whose places differ by at most `RADIUS`; the first message's place is 0.

    Args:
        place: that of the message before.
        before: when the message before was written.
        moment: when this one was written.
    """
    return place + (_APART if abs(moment - before) > SESSION_GAP else 1)


def influence(distance: int) -> float:
    """Return how much a turn counts for another one that is so many places after it, or before where negative."""
    decay = FORWARDS if distance > 0 else BACKWARDS
    return decay ** abs(distance) if abs(distance) <= RADIUS else 0.0
