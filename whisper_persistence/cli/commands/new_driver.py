"""The ``new-driver`` command."""

from __future__ import annotations

from pathlib import Path

import click

from whisper_persistence.cli.commands.common import as_json_option, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    arguments={"NAME": "The driver's name in settings: lower-case letters, digits and hyphens."},
    environment={},
    name="new-driver",
    examples=(
        "whisper-persistence new-driver mask",
        "whisper-persistence new-driver mask --directory ~/projects",
    ),
)
@click.argument("name")
@click.option(
    "--directory",
    default=".",
    type=click.Path(file_okay=False, path_type=Path),
    help="Create the package's folder here.",
)
@as_json_option
def new_driver(name: str, *, directory: Path, as_json: bool) -> None:
    """Create a package with a new driver that already passes the conformance suite.

    The driver counts messages and passes them on; replace that with what yours is for. In `src` is the driver, whose
    methods are hooks (`whisper_persistence.hookspecs` says what each must do); `pyproject.toml` has the entry point by
    which it is found; `tests` runs the conformance suite, which takes about half a minute.
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
