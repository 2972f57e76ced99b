"""What the command ``verify`` prints."""

from __future__ import annotations

from rich.console import Console

from whisper_persistence.operations import ReadingReport
from whisper_persistence.records import ChainReport


def print_reading(report: ReadingReport) -> None:
    """Print what reading every record found."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for one in report.unreadable:
        console.print(f"cannot be read: {one.kind} {one.key}")
    console.print(f"{report.records:,} records can be read, {len(report.unreadable):,} cannot")


def print_chains(report: ChainReport) -> None:
    """Print what walking along the chains found."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for problem in report.problems:
        message = "" if problem.sequence is None else f", message {problem.sequence}"
        named = f" ({problem.message_id})" if problem.message_id else ""
        console.print(f"{problem.kind}: conversation {problem.conversation_id}{message}{named}: {problem.detail}")
    key = "" if report.keyed else "; the hashes have no key, so this shows accidents, not malice"
    console.print(
        f"{report.tier}: {report.conversations:,} conversations, {report.messages:,} messages, "
        f"{len(report.problems):,} not as written{key}"
    )
