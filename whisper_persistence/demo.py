"""The demo: one process talks, learns and is killed; another remembers.

Both work on the same store through the same command line that everybody uses. What the second one must remember is
written down here once, under ids that belong to one run, so that a memory of an earlier run cannot pass for this one's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from whisper_persistence.records import (
    MemoryScore,
    Message,
    Outcome,
    OutcomeQuery,
    PreferencesChange,
    ScoreQuery,
    StatisticsChange,
    StrategyChange,
    Window,
    fields,
)

if TYPE_CHECKING:
    from rich.console import Console

    from whisper_persistence.store import Store

#: The namespace of the demo, so that it never mixes with a bot's own memory.
NAMESPACE: Final = "demo"

_LINES: Final = (
    ("alice", "I have my first climbing competition on Saturday. I can't sleep."),
    ("companion", "That is a big step. Shall we go through what you can do, or just breathe for a minute?"),
    ("alice", "Breathe, please. Lists make it worse."),
    ("companion", "Then no lists. In through the nose, four, three, two, one ..."),
    ("alice", "That helped. Thank you for not giving me advice."),
)
_TRIED: Final = (("resource_offering", 0.2, "ineffective"), ("gentle_check_in", 0.9, "successful"))
_MATTERS: Final = (("the climbing competition on Saturday", 0.93), ("lists make it worse", 0.71))


@attrs.frozen
class Script:
    """What happens in one run of the demo.

    Attributes:
        messages: what is said.
        strategy: what is learned about supporting her.
        statistics: which memories matter.
        wish: what she wishes.
    """

    messages: tuple[Message, ...]
    strategy: StrategyChange
    statistics: StatisticsChange
    wish: PreferencesChange


def write_script(run: str) -> Script:
    """Return what happens in the run of this id."""
    outcomes = [
        Outcome(f"{run}-{number}", style, score, kind, outcome_id=f"{run}-{number}", user_id="alice")
        for number, (style, score, kind) in enumerate(_TRIED)
    ]
    scores = [MemoryScore("alice", f"{run}: {memory}", score) for memory, score in _MATTERS]
    return Script(
        tuple(_message(run, number) for number in range(len(_LINES))),
        StrategyChange("alice", tuple(outcomes), communication_style="gentle", change_id=f"{run}-strategy"),
        StatisticsChange("alice", tuple(scores), change_id=f"{run}-statistics"),
        PreferencesChange("alice", {"advice": "only when asked", "run": run}, change_id=f"{run}-wish"),
    )


def run_demo(overrides: Mapping[str, Any], path: str | None = None, narrator: int = 1) -> bool:
    """Run both processes, and return whether the second one remembered everything.

    Args:
        overrides: the settings of the command line.
        path: where the SQLite file stays; ``None`` for a temporary one, or where ``overrides`` say.
        narrator: the file descriptor that both tell their story to.
    """
    with tempfile.TemporaryDirectory(prefix="whisper-persistence-demo-") as folder:
        chosen, environment = {**overrides, "namespace": overrides["namespace"] or NAMESPACE}, dict(os.environ)
        if not (overrides["url"] or overrides["config"]):
            file = Path(path).expanduser() if path else Path(folder) / "memory.db"
            chosen["url"] = f"sqlite:///{file.absolute()}"
            ours = [name for name in environment if name.startswith("WHISPER_PERSISTENCE_")]
            environment = {name: value for name, value in environment.items() if name not in ours}
        return _run_both(chosen, environment, narrator)


def talk(store: Store, run: str) -> None:
    """Talk and learn, and be killed right after the last write was acknowledged."""
    script, console = write_script(run), _console()
    console.print(f"[bold]process {os.getpid()}[/] talks and learns")
    for message in script.messages:
        store.save_messages([message])
        console.print(f"  [cyan]{message.author_id}[/]: {message.content}")
    store.update_strategies([script.strategy])
    for outcome in script.strategy.outcomes:
        console.print(f"  tried {outcome.intervention_style}: helped {outcome.effectiveness_score:.1f}")
    store.update_preferences([script.wish])
    console.print(f"  her wish: advice {script.wish.values['advice']}")
    console.print("  last write: which memories matter")
    (receipt,) = store.update_statistics([script.statistics])
    os.write(1, f"  acknowledged as {receipt.durability.value}; ".encode())
    os.kill(os.getpid(), signal.SIGKILL)


def recall(store: Store, run: str) -> bool:
    """Print what is remembered, and return whether it is all that happened in this run."""
    script, console = write_script(run), _console()
    console.print(f"[bold]process {os.getpid()}[/] opens the same store and remembers")
    return all(
        [
            _recall_messages(store, script, console),
            _recall_strategy(store, script, console),
            _recall_statistics(store, script, console),
            _recall_wish(store, script, console),
        ]
    )


def _run_both(chosen: Mapping[str, Any], environment: Mapping[str, str], narrator: int) -> bool:
    run, console = fields.new_id(), _console(stderr=narrator == 2)
    first = _spawn("demo-talk", run, chosen, environment, narrator)
    if first != -signal.SIGKILL:
        return False
    console.print("killed (SIGKILL), nothing was closed\n", highlight=False)
    remembered = _spawn("demo-recall", run, chosen, environment, narrator) == 0
    console.print("\n[green]everything was remembered[/]" if remembered else "\n[red]something was forgotten[/]")
    return remembered


def _spawn(command: str, run: str, chosen: Mapping[str, Any], environment: Mapping[str, str], narrator: int) -> int:
    options = [part for name, value in chosen.items() if value for part in (f"--{name}", str(value))]
    ran = [sys.executable, "-m", "whisper_persistence", *options, command, run]
    return subprocess.run(ran, env=environment, stdout=narrator, check=False).returncode  # noqa: S603 (our own command line)


def _message(run: str, number: int) -> Message:
    author, content = _LINES[number]
    return Message(
        f"demo-{run}",
        "alice",
        author,
        content,
        role="user" if author == "alice" else "assistant",
        message_id=f"{run}-{number}",
        in_reply_to=None if author == "alice" else f"{run}-{number - 1}",
    )


def _recall_messages(store: Store, script: Script, console: Console) -> bool:
    window = Window(script.messages[0].conversation_id)
    found = store.load_messages([window]).get(window, ())
    for message in found:
        console.print(f"  [cyan]{message.author_id}[/]: {message.content}")
    said = [(m.message_id, m.author_id, m.content, m.in_reply_to) for m in script.messages]
    remembered = [(m.message_id, m.author_id, m.content, m.in_reply_to) for m in found]
    return _verdict(console, f"{len(found)} of {len(said)} messages, in order", remembered == said)


def _recall_strategy(store: Store, script: Script, console: Console) -> bool:
    strategy = store.load_strategies(["alice"]).get("alice")
    query = OutcomeQuery("alice")
    outcomes = {outcome.outcome_id for outcome in store.load_outcomes([query]).get(query, ())}
    if strategy is None:
        return _verdict(console, "how to support alice", False)
    helps, avoid = ", ".join(strategy.effective_approaches), ", ".join(strategy.approaches_to_avoid)
    learned = "gentle_check_in" in strategy.effective_approaches and "resource_offering" in strategy.approaches_to_avoid
    complete = learned and {outcome.outcome_id for outcome in script.strategy.outcomes} <= outcomes
    return _verdict(console, f"how to support alice: {strategy.communication_style}, {helps}; not {avoid}", complete)


def _recall_statistics(store: Store, script: Script, console: Console) -> bool:
    query = ScoreQuery("alice", "recent")
    found = {score.memory_id: score.overall_score for score in store.load_scores([query]).get(query, ())}
    complete = all(found.get(score.memory_id) == score.overall_score for score in script.statistics.scores)
    return _verdict(console, f"what matters most to her: {_MATTERS[0][0]}", complete)


def _recall_wish(store: Store, script: Script, console: Console) -> bool:
    preferences = store.load_preferences(["alice"]).get("alice")
    complete = preferences is not None and preferences.values == script.wish.values
    return _verdict(console, f"her wish: advice {script.wish.values['advice']}", complete)


def _verdict(console: Console, what: str, complete: bool) -> bool:
    console.print(f"  [green]remembered[/] {what}" if complete else f"  [red]missing[/] {what}")
    return complete


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, stderr=stderr)
