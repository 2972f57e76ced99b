"""The ``reindex`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, open_store, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(cls=Command, examples=("whisper-persistence reindex", "whisper-persistence reindex --wait 60"))
@click.option("--wait", default=3_600.0, show_default=True, help="How many seconds to wait for it to finish.")
@as_json_option
@click.pass_obj
def reindex(overrides: dict[str, Any], *, wait: float, as_json: bool) -> None:
    """Rebuild the search indexes from the stored messages; searching works meanwhile."""
    from whisper_persistence.cli.searching import rebuild

    with open_store(overrides) as store:
        indexed = rebuild(store, wait, show_progress=not as_json)
    print_json({"indexed": indexed}) if as_json else click.echo(f"indexed anew: {', '.join(indexed)}")
