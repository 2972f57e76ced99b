"""The ``new-driver`` command."""

from __future__ import annotations

from pathlib import Path

import click

from whisper_persistence.cli.commands.common import as_json_option, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"NAME": "What settings call the driver: small letters, digits and hyphens."},
    environment={},
    name="new-driver",
    examples=(
        "whisper-persistence new-driver mask",
        "whisper-persistence new-driver mask --directory ~/projects",
    ),
)
@click.argument("name")
@click.option(
    "--directory", default=".", type=click.Path(file_okay=False, path_type=Path), help="Make the package's folder here."
)
@as_json_option
def new_driver(name: str, *, directory: Path, as_json: bool) -> None:
    """Write a package with a new driver, which passes the suite for drivers at once.

    NAME is what settings call the driver. What each file is for, and how to go on, is in docs/writing-a-driver.md.
    """
    from whisper_persistence.operations import write_driver

    written = write_driver(name, directory)
    following = f"pip install -e '{written[0].parent}[test]' && pytest {written[0].parent}"
    if as_json:
        print_json({"files": [str(file) for file in written], "next": following})
        return
    for file in written:
        click.echo(file)
    click.echo(f"\nnext: {following}")
