"""The ``show`` command: what is kept about one user, on a screen."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from whisper_persistence import codec
from whisper_persistence.operations import Profile
from whisper_persistence.records import Statistics, Strategy


def print_profile(profile: Profile, console: Console | None = None) -> None:
    """Print what is kept about one user."""
    console = console or Console(highlight=False)
    if profile.is_empty():
        console.print(f"nothing is kept about {visible(profile.user_id)}")
        return
    _print_facts(console, "strategy", _strategy_facts(profile.strategy))
    _print_facts(console, "statistics", _statistics_facts(profile.statistics))
    _print_facts(console, "patterns", [(p.pattern_id, f"seen {p.frequency} times") for p in profile.patterns])
    _print_facts(console, "memories", [(s.memory_id, f"{s.overall_score:.2f}") for s in profile.scores])
    wishes = profile.preferences.values if profile.preferences else {}
    _print_facts(console, "preferences", [(name, codec.encode(value)) for name, value in wishes.items()])
    lines = [(f"{m.timestamp:%Y-%m-%d %H:%M}  {m.author_name or m.author_id}", m.content) for m in profile.messages]
    _print_facts(console, "messages", lines)


def _strategy_facts(strategy: Strategy | None) -> list[tuple[str, str]]:
    if strategy is None:
        return []
    return [
        ("communication style", strategy.communication_style),
        ("helps", ", ".join(strategy.effective_approaches)),
        ("to avoid", ", ".join(strategy.approaches_to_avoid)),
        ("interventions", f"{strategy.interventions}, of which {strategy.successes} helped"),
        ("timing", codec.encode(strategy.optimal_timing) if strategy.optimal_timing else ""),
    ]


def _statistics_facts(statistics: Statistics | None) -> list[tuple[str, str]]:
    if statistics is None:
        return []
    average = statistics.average_importance()
    return [
        ("memories scored", str(statistics.total_memories_scored)),
        ("average importance", "" if average is None else f"{average:.2f}"),
        ("core memories", str(statistics.core_memory_candidates)),
        ("confidence in weights", f"{statistics.confidence():.2f}"),
    ]


def _print_facts(console: Console, title: str, facts: Iterable[tuple[str, str]]) -> None:
    known = [(name, value) for name, value in facts if value]
    if not known:
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", overflow="fold", max_width=44)
    table.add_column(overflow="fold")
    for name, value in known:
        table.add_row(visible(name), visible(value))
    console.print(f"[bold]{title}[/]")
    console.print(table)
    console.print()


def visible(text: str) -> str:
    """Return text that can neither style nor steer a terminal."""
    plain = "".join(c if c == "\n" or unicodedata.category(c) != "Cc" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return escape(plain)
