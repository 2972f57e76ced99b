"""What every call is given: drawn anew for each round, and the same for every contestant."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import data
from data import Scale

#: The arguments of every call of a round, by the scale, the run and the round.
Draw = Callable[[Scale, int, int], list[tuple[Any, ...]]]


def chance(run: int, round_number: int) -> Random:
    """Return the random numbers of one round."""
    return Random(f"{run}/{round_number}")


def number_of(run: int, round_number: int, call: int = 0) -> int:
    """Return a number that belongs to one call alone."""
    return ((run + 1) * 1_000 + round_number) * 10_000 + call


def turns_of(name: str) -> Draw:
    """Return what appends turns to one conversation."""

    def draw(scale: Scale, run: int, number: int) -> list[tuple[Any, ...]]:
        return [(data.turn(name, name, number_of(run, number, call)),) for call in range(scale.calls)]

    return draw


def turns_of_anybody(scale: Scale, run: int, number: int) -> list[tuple[Any, ...]]:
    """Draw what appends turns to the conversations of random users."""
    chosen = chance(run, number)
    names = [data.user_name(chosen.randrange(scale.users)) for _ in range(scale.calls)]
    return [(data.turn(name, name, number_of(run, number, call)),) for call, name in enumerate(names)]


def reads_of(name: str) -> Draw:
    """Return what reads one conversation."""
    return lambda scale, run, number: [(name,)] * scale.calls


def reads_of_anybody(scale: Scale, run: int, number: int) -> list[tuple[Any, ...]]:
    """Draw what reads the conversations of random users."""
    chosen = chance(run, number)
    return [(data.user_name(chosen.randrange(scale.users)),) for _ in range(scale.calls)]


def reads_of_few(scale: Scale, run: int, number: int) -> list[tuple[Any, ...]]:
    """Draw what reads the conversations of random users, where there are few."""
    chosen = chance(run, number)
    return [(data.user_name(chosen.randrange(data.few(scale))),) for _ in range(scale.calls)]


def _strategy_numbers(scale: Scale, run: int, number: int) -> list[int]:
    chosen = chance(run, number)
    return [chosen.randrange(scale.strategies) for _ in range(scale.calls)]


def profiles(scale: Scale, run: int, number: int) -> list[tuple[Any, ...]]:
    """Draw whole strategies to save."""
    chosen = _strategy_numbers(scale, run, number)
    return [(data.profile(user, number_of(run, number, call)),) for call, user in enumerate(chosen)]


def users(scale: Scale, run: int, number: int) -> list[tuple[Any, ...]]:
    """Draw users whose strategy to load."""
    return [(data.user_name(chosen),) for chosen in _strategy_numbers(scale, run, number)]


def lessons(scale: Scale, run: int, number: int) -> list[tuple[Any, ...]]:
    """Draw users to learn something about, each with a number of its own."""
    chosen = _strategy_numbers(scale, run, number)
    return [(data.user_name(user), number_of(run, number, call)) for call, user in enumerate(chosen)]


def tasks(scale: Scale, run: int, number: int, count: int) -> list[list[data.Turn | str]]:
    """Draw what each of ``count`` tasks does: append a turn or read, each time in another conversation."""
    chosen = chance(run, number)
    total = min(count * scale.task_calls, scale.users)
    names = [data.user_name(user) for user in chosen.sample(range(scale.users), total)]
    calls = [
        data.turn(name, name, number_of(run, number, call)) if chosen.random() < 0.5 else name
        for call, name in enumerate(names)
    ]
    return [calls[task::count] for task in range(count)]
