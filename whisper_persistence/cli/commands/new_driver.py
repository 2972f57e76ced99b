"""The ``new-driver`` command."""

from __future__ import annotations

from pathlib import Path

import click

from whisper_persistence.cli.commands.common import Command


@click.command(
    cls=Command,
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
def new_driver(name: str, directory: Path) -> None:
    """Write a package with a new driver, which passes the suite for drivers at once.

    NAME is what settings call the driver. What each file is for, and how to go on, is in docs/writing-a-driver.md.
    """
    from whisper_persistence.operations import write_driver

    written = write_driver(name, directory)
    for file in written:
        click.echo(file)
    folder = written[0].parent
    click.echo(f"\nnext: pip install -e '{folder}[test]' && pytest {folder}")
