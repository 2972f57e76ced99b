"""The ``doctor`` command."""

from __future__ import annotations

from typing import Any

import click

from whisper_persistence.cli.commands.common import as_json_option, print_json
from whisper_persistence.cli.commands.manual import Command


@click.command(
    cls=Command,
    fails="something is wrong",
    examples=("whisper-persistence doctor", "whisper-persistence --config bot.toml doctor --json"),
)
@as_json_option
@click.pass_obj
def doctor(overrides: dict[str, Any], *, as_json: bool) -> None:
    """Show which drivers were chosen and why, and how each one is doing.

    It opens the store as a bot would, so writes that an earlier process left in a journal are replayed if the storage
    answers.
    """
    from whisper_persistence.cli.doctoring import describe_diagnosis, print_diagnosis
    from whisper_persistence.operations import diagnose
    from whisper_persistence.settings import load_settings

    found = diagnose(load_settings(**overrides))
    print_json(describe_diagnosis(found)) if as_json else print_diagnosis(found)
    if found.problems:
        raise click.exceptions.Exit(1)
