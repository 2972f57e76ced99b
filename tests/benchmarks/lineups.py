"""How contestants are lined up for a run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any, Final

import data
import drawing
from arena import Arena, batches
from contestants import AT_HAND, FLOOR, ONE_TRANSACTION, OURS, AsyncMemory, Contestant, Memory
from data import LONG, Turn
from judging import Field
from timing import Lane, Spent, time_awaits, time_calls

LineUp = Callable[[Arena, int], Field]
#: How many tasks run at once.
TASKS: Final = 32


def single_calls(method: str, contents: str, draw: drawing.Draw, *more: Contestant) -> LineUp:
    """Return the line-up for one call after the other. What ``more`` answer is not compared: they miss the appends."""

    def line_up(arena: Arena, run: int) -> Field:
        memories = {c.name: arena.memory(c, contents) for c in (FLOOR, arena.challenger, *more)}
        read = _strategies if contents == "strategies" else _messages
        return Field(
            {name: _calls(memory, method, partial(draw, arena.scale, run)) for name, memory in memories.items()},
            {c.name: partial(read, arena, memories[c.name]) for c in (FLOOR, arena.challenger)},
        )

    return line_up


def single_awaits(method: str, draw: drawing.Draw) -> LineUp:
    """Return the line-up for one awaited call after the other."""

    def line_up(arena: Arena, run: int) -> Field:
        def lane(memory: AsyncMemory) -> Lane:
            return lambda number: arena.runner.run(time_awaits(getattr(memory, method), draw(arena.scale, run, number)))

        memories = {c.name: arena.async_memory(c, "talk") for c in (FLOOR, arena.challenger)}
        return Field(
            {name: lane(memory) for name, memory in memories.items()},
            {name: partial(_messages_async, arena, memory) for name, memory in memories.items()},
        )

    return line_up


def at_two_sizes(method: str, small: tuple[str, drawing.Draw], large: tuple[str, drawing.Draw]) -> LineUp:
    """Return the line-up of the challenger against itself, with more in the file or in the conversation."""

    def line_up(arena: Arena, run: int) -> Field:
        sizes = {"small": small, "large": large}
        return Field(
            {
                name: _calls(arena.memory(arena.challenger, contents), method, partial(draw, arena.scale, run))
                for name, (contents, draw) in sizes.items()
            }
        )

    return line_up


def many_tasks(arena: Arena, run: int) -> Field:
    """Line up for tasks that append and read at once."""

    def lane(memory: AsyncMemory, number: int) -> Spent:
        return arena.runner.run(_mix(memory, drawing.tasks(arena.scale, run, number, TASKS)))

    memories = {c.name: arena.async_memory(c, "talk") for c in (FLOOR, arena.challenger)}
    return Field(
        {name: partial(lane, memory) for name, memory in memories.items()},
        {name: partial(_messages_async, arena, memory) for name, memory in memories.items()},
    )


def imports(arena: Arena, run: int) -> Field:
    """Line up for a bulk import into a new file."""
    answers: dict[str, list[Any]] = {}

    def lane(contestant: Contestant, number: int) -> Spent:
        path = arena.fresh("import")
        memory = contestant.open(path)
        packed = list(batches(memory, _import_source(arena)))
        os.sync()
        started = perf_counter_ns()
        memory.fill(packed)
        elapsed = perf_counter_ns() - started
        answers[contestant.name] = _messages(arena, memory)
        memory.close()
        path.unlink()
        return Spent([elapsed / arena.scale.imported])

    more = (ONE_TRANSACTION, *([AT_HAND] if arena.challenger is OURS else []))
    chosen = (FLOOR, arena.challenger, *more)
    return Field(
        {contestant.name: partial(lane, contestant) for contestant in chosen},
        {contestant.name: partial(answers.__getitem__, contestant.name) for contestant in chosen},
    )


def _import_source(arena: Arena) -> Any:
    names = [LONG, *(data.user_name(number) for number in range(arena.scale.users))]
    for number in range(arena.scale.imported // 2):
        name = names[number % len(names)]
        yield data.turn(name, name, number)


def _calls(memory: Memory, method: str, draw: Callable[[int], list[tuple[Any, ...]]]) -> Lane:
    return lambda number: time_calls(getattr(memory, method), draw(number))


async def _mix(memory: AsyncMemory, calls: list[list[Turn | str]]) -> Spent:
    started = perf_counter_ns()
    single = await asyncio.gather(*(_work(memory, task) for task in calls))
    elapsed = perf_counter_ns() - started
    latencies = [latency for task in single for latency in task]
    return Spent([elapsed / len(latencies)], latencies)


async def _work(memory: AsyncMemory, calls: list[Turn | str]) -> list[float]:
    latencies: list[float] = []
    for call in calls:
        started = perf_counter_ns()
        if isinstance(call, str):
            await memory.last(call)
        else:
            await memory.append(call)
        latencies.append(perf_counter_ns() - started)
    return latencies


def _names(arena: Arena) -> list[str]:
    return [LONG, *(data.user_name(number) for number in range(0, arena.scale.users, arena.scale.users // 20))]


def _messages(arena: Arena, memory: Memory) -> list[Any]:
    return [memory.plain_messages(memory.last(name)) for name in _names(arena)]


def _messages_async(arena: Arena, memory: AsyncMemory) -> list[Any]:
    return [memory.plain_messages(arena.runner.run(_last(memory, name))) for name in _names(arena)]


async def _last(memory: AsyncMemory, name: str) -> Any:
    return await memory.last(name)


def _strategies(arena: Arena, memory: Memory) -> list[Any]:
    numbers = range(0, arena.scale.strategies, arena.scale.strategies // 20)
    return [memory.plain_strategy(memory.load(data.user_name(number))) for number in numbers]
