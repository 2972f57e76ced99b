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
    arguments={"USER...": "The ids of whom to forget."},
    fails="something is left",
    examples=(
        "whisper-persistence erase alice --receipt alice.json",
        "whisper-persistence --namespace elena erase alice bob --yes",
        "whisper-persistence erase --again alice.json --again bob.json",
    ),
)
@click.argument("users", metavar="USER...", nargs=-1)
@click.option("--receipt", metavar="FILE", type=_file, help="Save what was done to this new file; it names nobody.")
@click.option(
    "--again", metavar="FILE", multiple=True, type=_file, help="Erase once more whom this receipt is about; repeatable."
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
    """Forget users in every tier, for good, and read every tier again to see that it is so.

    It removes everything under their ids, every message that concerns them and every one that they wrote, rewrites
    files that would keep deleted bytes, and says what is out of reach, such as backups. Interrupted, it is finished
    when the memory is opened the next time.

    After a database was restored by its own means, --again applies the receipts of earlier erases to it.
    """
    from whisper_persistence import codec
    from whisper_persistence.cli import erasing

    if bool(users) == bool(again) or (again and receipt):
        raise click.UsageError("name users, or give --again with receipts")
    with open_store(overrides) as store:
        whom = erasing.count_users(users) if users else "those whom the receipts are about"
        confirm(f"All that {store.namespace!r} remembers of {whom} goes for good. Erase?", yes=yes)
        if again:
            tiers = erasing.run_again(store, again)
            print_json({"tiers": codec.to_mapping(tiers)}) if as_json else erasing.print_tiers(tiers)
            return
        written = erasing.run_erase(store, users, receipt, shown=not as_json)
    print_json(erasing.describe_erase(written)) if as_json else erasing.print_erase(written)
    erasing.check_complete(written)
