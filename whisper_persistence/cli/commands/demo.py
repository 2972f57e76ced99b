"""The ``demo`` command and the two processes that it starts."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    fails="something was forgotten",
    environment={"TMPDIR": "The temporary file lies in this folder."},
    examples=(
        "whisper-persistence demo",
        "whisper-persistence demo --path demo.db",
    ),
)
@click.option("--path", metavar="FILE", help="Keep the demo's SQLite file here, instead of removing it at the end.")
@as_json_option
@click.pass_obj
def demo(overrides: dict[str, Any], *, path: str | None, as_json: bool) -> None:
    """Watch a companion remember across a process that is killed.

    One process talks and learns and is killed without warning; another remembers. They use a temporary SQLite file,
    unless --path, --url or --config names another place, and the namespace "demo", unless --namespace names another.
    """
    from whisper_persistence.demo import run_demo

    if path and (overrides["url"] or overrides["config"]):
        raise click.UsageError("--path names a SQLite file; leave it out where --url or --config names the place")
    remembered = run_demo(overrides, path, narrator=2 if as_json else 1)
    if as_json:
        print_json({"remembered": remembered})
    if not remembered:
        raise click.exceptions.Exit(1)


@click.command(name="demo-talk", hidden=True)
@click.argument("run")
@click.pass_obj
def demo_talk(overrides: dict[str, Any], run: str) -> None:
    """Talk, learn, and be killed: the first process of the demo."""
    from whisper_persistence.demo import talk

    talk(open_store(overrides), run)


@click.command(name="demo-recall", hidden=True)
@click.argument("run")
@click.pass_obj
def demo_recall(overrides: dict[str, Any], run: str) -> None:
    """Say what is remembered: the second process of the demo."""
    from whisper_persistence.demo import recall

    with open_store(overrides) as store:
        if not recall(store, run):
            raise click.exceptions.Exit(1)
