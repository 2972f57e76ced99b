"""The ``verify`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, confirm, open_store, print_json, yes_option
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    fails="something was changed, or cannot be read",
    examples=(
        "whisper-persistence verify",
        "whisper-persistence verify --records",
        "whisper-persistence verify --user alice --json",
        "whisper-persistence verify --json > heads.json && whisper-persistence verify --against heads.json",
        "whisper-persistence verify --switch-off --yes",
    ),
)
@click.option(
    "--user",
    "users",
    metavar="USER",
    multiple=True,
    help="Only conversations in which this user takes part; repeatable.",
)
@click.option(
    "--conversation", "conversations", metavar="ID", multiple=True, help="Only this conversation; repeatable."
)
@click.option(
    "--against",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Also compare with an earlier output of --json that was kept elsewhere.",
)
@click.option(
    "--records", is_flag=True, help="Read every record instead, and name those that cannot be read; needs no chains."
)
@click.option(
    "--switch-off", is_flag=True, help="Remove the chains afterwards; then take the option out of the settings."
)
@yes_option
@as_json_option
@click.pass_obj
def verify(
    overrides: dict[str, Any],
    users: tuple[str, ...],
    conversations: tuple[str, ...],
    *,
    against: Path | None,
    records: bool,
    switch_off: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Detect conversations that were changed behind the store's back.

    It names the first altered, missing, reordered or added message of each conversation. This needs the hash chains
    that the option tamper_evidence of sqlite and postgres keeps. Without a tamper_key they reveal accidents only, since
    anybody could compute them again; and an older, intact copy of the whole database is noticed only with --against.

    With --records it reads every record of every kind instead, and names those that are damaged.
    """
    from whisper_persistence import codec
    from whisper_persistence.cli.progress import show_progress, show_status
    from whisper_persistence.cli.verifying import print_chains, print_reading
    from whisper_persistence.operations import find_unreadable, remove_chains, verify_chains

    if (switch_off or records) and (users or conversations):
        raise click.UsageError(
            "--switch-off and --records apply to the whole namespace: leave out --user and --conversation"
        )
    if records and (switch_off or against):
        raise click.UsageError("--records does not read chains: leave out --against and --switch-off")
    with open_store(overrides) as store:
        if records:
            with show_progress(not as_json) as progress:
                read = find_unreadable(store, progress)
            print_json(codec.to_mapping(read)) if as_json else print_reading(read)
            raise SystemExit(1 if read.unreadable else 0)
        with show_status("checking the chains", shown=not as_json):
            report = verify_chains(store, users, conversations, against)
        print_json(codec.to_mapping(report)) if as_json else print_chains(report)
        if switch_off:
            confirm(
                f"The chains of {report.conversations:,} conversations will be removed permanently. Continue?", yes=yes
            )
            click.echo(f"removed: {remove_chains(store):,} chains", err=True)
    if report.problems:
        raise SystemExit(1)
