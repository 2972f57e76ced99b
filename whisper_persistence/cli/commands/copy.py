"""The ``copy`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, print_json
from whisper_persistence.cli.commands.manual import SETTINGS, STATE, Command

#: What copy is told by --from and --to alone.
_ITS_OWN = ("WHISPER_PERSISTENCE_URL", "WHISPER_PERSISTENCE_DRIVERS", "XDG_DATA_HOME")


@click.command(
    cls=Command,
    fails="source and destination differ at the end",
    environment={name: told for name, told in {**SETTINGS, **STATE}.items() if name not in _ITS_OWN},
    examples=("whisper-persistence copy --from sqlite:///memory.db --to postgresql://bot@db/memory",),
)
@click.option("--from", "source", metavar="URL", required=True, help="The database to copy from.")
@click.option("--to", "destination", metavar="URL", required=True, help="The database to copy to.")
@click.option("--checkpoint", metavar="FILE", help="Keep the progress of the copy in this file.")
@as_json_option
@click.pass_obj
def copy(overrides: dict[str, Any], source: str, destination: str, checkpoint: str | None, as_json: bool) -> None:
    """Copy everything in a namespace from one database to another, and compare the two.

    Run the same command again to resume a copy that was interrupted; repeating one that is complete changes nothing.
    Records that exist only at the destination stay there; one that both have becomes as the source has it, so do not
    repeat a copy once the bot writes to the destination.
    """
    from whisper_persistence.cli.copying import describe_copy, find_differences, print_copy, run_copy

    if overrides.pop("url"):
        raise click.UsageError("copy takes --from and --to instead of --url")
    compared = run_copy(source, destination, checkpoint, overrides, show_progress=not as_json)
    print_json(describe_copy(compared)) if as_json else print_copy(compared)
    differences = find_differences(compared)
    if differences:
        raise click.ClickException(differences)
