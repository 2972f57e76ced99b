"""The ``erase`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, confirm, open_store, print_json, yes_option
from whisper_persistence.cli.commands.manual import Command

_file = click.Path(path_type=Path, dir_okay=False)


@click.command(
    cls=Command,
    arguments={"USER...": "The ids of the users to erase."},
    fails="something is left over",
    examples=(
        "whisper-persistence erase alice --receipt alice.json",
        "whisper-persistence --namespace elena erase alice bob --yes",
        "whisper-persistence erase --again alice.json --again bob.json",
    ),
)
@click.argument("users", metavar="USER...", nargs=-1)
@click.option("--receipt", metavar="FILE", type=_file, help="Save a receipt in this new file; it contains no user id.")
@click.option(
    "--again",
    metavar="FILE",
    multiple=True,
    type=_file,
    help="Erase again the users whom this receipt is about; repeatable.",
)
@yes_option
@as_json_option
@click.pass_obj
def erase(
    overrides: dict[str, Any],
    users: tuple[str, ...],
    *,
    receipt: Path | None,
    again: tuple[Path, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Erase users from every driver, permanently, and check that nothing is left.

    This removes everything stored under their ids, every message that concerns them and every message they wrote,
    rewrites files that would still hold deleted bytes, and reports what is out of reach, such as backups. If it is
    interrupted, it is finished the next time the memory is opened.

    After restoring a database from a dump, use --again with the receipts of earlier erases.
    """
    from whisper_persistence import codec
    from whisper_persistence.cli import erasing

    if bool(users) == bool(again) or (again and receipt):
        raise click.UsageError("name at least one user, or give --again with a receipt")
    with open_store(overrides) as store:
        whom = erasing.count_users(users) if users else "those whom the receipts are about"
        confirm(
            f"Everything that {store.namespace!r} remembers about {whom} will be removed permanently. Erase?", yes=yes
        )
        if again:
            tiers = erasing.run_again(store, again)
            print_json({"tiers": codec.to_mapping(tiers)}) if as_json else erasing.print_tiers(tiers)
            return
        written = erasing.run_erase(store, users, receipt, shown=not as_json)
    print_json(erasing.describe_erase(written)) if as_json else erasing.print_erase(written)
    erasing.check_complete(written)
