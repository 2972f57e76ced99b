"""The ``verify`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import Command, as_json_option, open_store, print_json


@click.command(
    cls=Command,
    examples=(
        "whisper-persistence verify",
        "whisper-persistence verify --user alice --json",
        "whisper-persistence verify --json > heads.json && whisper-persistence verify --against heads.json",
    ),
)
@click.option("--user", "users", metavar="USER", multiple=True, help="Only where this user takes part; repeatable.")
@click.option("--conversation", "conversations", metavar="ID", multiple=True, help="Only this one; repeatable.")
@click.option(
    "--against",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Also compare with what --json printed before and was kept elsewhere.",
)
@as_json_option
@click.pass_obj
def verify(
    overrides: dict[str, Any],
    users: tuple[str, ...],
    conversations: tuple[str, ...],
    against: Path | None,
    as_json: bool,
) -> None:
    """Say whether anybody changed conversations past the store: the first altered, missing or reordered message.

    The database must keep hash chains: option tamper_evidence of sqlite and postgres. Exits with 1 if anything is not
    as it was written. What this shows and what not: see docs/privacy.md.
    """
    from whisper_persistence import codec
    from whisper_persistence.cli.progress import show_status
    from whisper_persistence.cli.verifying import print_chains
    from whisper_persistence.operations import verify_chains

    with open_store(overrides) as store, show_status("walking along the chains", shown=not as_json):
        report = verify_chains(store, users, conversations, against)
    print_json(codec.to_mapping(report)) if as_json else print_chains(report)
    if report.problems:
        raise SystemExit(1)
