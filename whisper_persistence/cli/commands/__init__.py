"""The commands: `main` and, registered here in one place, a module for each.

A module holds a command's arguments and help; it loads what the command needs when it runs, and leaves the work to
others. So `--help` and shell completion stay fast.
"""

from __future__ import annotations

from typing import Final

import click

from whisper_persistence.cli.commands.backup import backup
from whisper_persistence.cli.commands.common import Group
from whisper_persistence.cli.commands.completion import completion
from whisper_persistence.cli.commands.copy import copy
from whisper_persistence.cli.commands.demo import demo, demo_recall, demo_talk
from whisper_persistence.cli.commands.doctor import doctor
from whisper_persistence.cli.commands.drivers import drivers
from whisper_persistence.cli.commands.erase import erase
from whisper_persistence.cli.commands.expire import expire
from whisper_persistence.cli.commands.export import export
from whisper_persistence.cli.commands.import_ import import_
from whisper_persistence.cli.commands.migrate import migrate
from whisper_persistence.cli.commands.new_driver import new_driver
from whisper_persistence.cli.commands.reindex import reindex
from whisper_persistence.cli.commands.report import report
from whisper_persistence.cli.commands.restore import restore
from whisper_persistence.cli.commands.rollback import rollback
from whisper_persistence.cli.commands.search import search
from whisper_persistence.cli.commands.show import show
from whisper_persistence.cli.commands.sources import sources
from whisper_persistence.cli.commands.verify import verify

__all__ = ["main"]

_COMMANDS: Final[tuple[click.Command, ...]] = (
    backup,
    completion,
    copy,
    demo,
    demo_recall,
    demo_talk,
    doctor,
    drivers,
    erase,
    expire,
    export,
    import_,
    migrate,
    new_driver,
    reindex,
    report,
    restore,
    rollback,
    search,
    show,
    sources,
    verify,
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="Read the settings from this TOML file.")
@click.option("--url", metavar="URL", help="Where the memory is kept: sqlite:///path, postgresql://..., or memory://.")
@click.option("--namespace", metavar="NAME", help="Which bot or character the memory belongs to.")
@click.version_option(package_name="whisper-persistence", prog_name="whisper-persistence")
@click.pass_context
def main(ctx: click.Context, config: str | None, url: str | None, namespace: str | None) -> None:
    """A memory for AI companions, on the storage you choose."""
    ctx.obj = {"config": config, "url": url, "namespace": namespace}


for _command in _COMMANDS:
    main.add_command(_command)
