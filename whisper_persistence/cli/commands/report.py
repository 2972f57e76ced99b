"""The ``report`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, confirm, open_store, print_json, yes_option
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    examples=(
        "whisper-persistence report",
        "whisper-persistence report --user alice --context mood",
        "whisper-persistence report --html report.html",
        "whisper-persistence report --html report.html --yes",
    ),
)
@click.option("--user", metavar="ID", help="Report on this user only.")
@click.option("--context", metavar="KEY", help="Break outcomes down by this key of their context, such as mood.")
@click.option(
    "--minimum-group", type=click.IntRange(1), help="Leave out groups of fewer users; 5 unless --user is given."
)
@click.option("--html", metavar="FILE", help="Write a self-contained page with charts instead.")
@yes_option
@as_json_option
@click.pass_obj
def report(overrides: dict[str, Any], /, user: str | None, *, as_json: bool, yes: bool, **asked: Any) -> None:
    """Show what helped, when people talk, whether they come back, and which memories matter."""
    from whisper_persistence.cli.progress import show_status
    from whisper_persistence.cli.reporting import describe_report, print_report, write_page
    from whisper_persistence.operations import MINIMUM_GROUP, load_report

    if user and asked["minimum_group"]:
        raise click.UsageError(
            "--minimum-group leaves out small groups, and --user asks about one person: give one of them"
        )
    if asked["html"] and Path(asked["html"]).exists():
        confirm(f"There is a file {asked['html']} already. Replace it?", yes=yes)
    with open_store(overrides) as store, show_status("reading", shown=not as_json):
        found = load_report(store, user, asked["minimum_group"] or MINIMUM_GROUP, asked["context"])
    if asked["html"]:
        click.echo(f"written: {write_page(found, asked['html'])}", err=as_json)
    if as_json:
        print_json(describe_report(found))
    elif not asked["html"]:
        print_report(found)
