"""The commands. Each loads what it needs when it runs, and leaves the work to others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from whisper_persistence.errors import PersistenceError

if TYPE_CHECKING:
    from whisper_persistence.store import Store

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


class _Group(click.Group):
    """Commands whose own errors are one line on standard error and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PersistenceError as error:
            raise click.ClickException(" ".join(str(error).split())) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="Read settings from this TOML file.")
@click.option("--url", metavar="URL", help="Keep the memory here: sqlite:///path, postgresql://..., memory://.")
@click.option("--namespace", metavar="NAME", help="The bot or character whose memory it is.")
@click.version_option(package_name="whisper-persistence", prog_name="whisper-persistence")
@click.pass_context
def main(ctx: click.Context, config: str | None, url: str | None, namespace: str | None) -> None:
    """A memory for AI companions, on the storage you choose."""
    ctx.obj = {"config": config, "url": url, "namespace": namespace}


@main.command()
@_as_json
@click.pass_obj
def drivers(overrides: dict[str, Any], as_json: bool) -> None:
    """List the drivers that are installed, which are chosen, and why."""
    from whisper_persistence.cli.listing import describe_drivers, print_drivers
    from whisper_persistence.settings import load_settings

    listing = describe_drivers(load_settings(**overrides))
    _print_json(listing) if as_json else print_drivers(listing)


@main.command(name="import")
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--from-whisperengine", "whisperengine", metavar="URL", help="Read this database of WhisperEngine instead."
)
@_as_json
@click.pass_obj
def import_(overrides: dict[str, Any], files: tuple[str, ...], whisperengine: str | None, as_json: bool) -> None:
    """Bring records in from JSON Lines files, or what an earlier attempt left in a database of WhisperEngine.

    A line is one record: an object with the kind of record and its fields. Lines without a kind are messages.
    """
    from whisper_persistence.cli.importing import describe_tables, import_files, print_counts, print_tables

    if bool(files) == bool(whisperengine):
        raise click.UsageError("name files, or give --from-whisperengine")
    with _open_store(overrides) as store:
        if whisperengine:
            from whisper_persistence.operations import import_whisperengine

            tables = import_whisperengine(store, whisperengine)
            _print_json(describe_tables(tables)) if as_json else print_tables(tables)
            return
        counts = import_files(store, [Path(file) for file in files], show_progress=not as_json)
    _print_json(counts) if as_json else print_counts(counts)


@main.command()
@click.option("--from", "source", metavar="URL", required=True, help="Copy what is kept here.")
@click.option("--to", "destination", metavar="URL", required=True, help="Copy it to here.")
@click.option("--checkpoint", metavar="FILE", help="Note here how far the copy has come.")
@_as_json
@click.pass_obj
def copy(overrides: dict[str, Any], source: str, destination: str, checkpoint: str | None, as_json: bool) -> None:
    """Copy all that a namespace keeps from one database to another, and compare the two.

    A copy that was interrupted goes on where it stopped when the same command is run again; one that is repeated
    changes nothing. What is only at the destination is left there. The exit code is 1 where the two differ at the end.
    """
    from whisper_persistence.cli.copying import describe_copy, find_differences, print_copy, run_copy

    if overrides.pop("url"):
        raise click.UsageError("copy takes --from and --to instead of --url")
    compared = run_copy(source, destination, checkpoint, overrides, show_progress=not as_json)
    _print_json(describe_copy(compared)) if as_json else print_copy(compared)
    differences = find_differences(compared)
    if differences:
        raise click.ClickException(differences)


@main.command()
@click.argument("user")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most this many messages.")
@click.option("--conversation", multiple=True, metavar="ID", help="Look only here; may be repeated.")
@_as_json
@click.pass_obj
def show(overrides: dict[str, Any], user: str, limit: int, conversation: tuple[str, ...], as_json: bool) -> None:
    """Show what is kept about a user: strategy, statistics, patterns, preferences, the newest messages."""
    from whisper_persistence import codec
    from whisper_persistence.cli.profile import print_profile
    from whisper_persistence.operations import load_profile

    with _open_store(overrides) as store:
        profile = load_profile(store, user, limit, conversation)
    _print_json(codec.to_mapping(profile)) if as_json else print_profile(profile)


@main.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--user", metavar="ID", help="Only messages that concern this user.")
@click.option("--conversation", metavar="ID", help="Only messages of this conversation.")
@click.option("--author", metavar="ID", help="Only messages by this author.")
@click.option("--since", type=click.DateTime(), help="Only messages from this time on, in UTC.")
@click.option("--until", type=click.DateTime(), help="Only messages before this time, in UTC.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1), help="At most this many hits.")
@click.option("--context", default=2, show_default=True, type=click.IntRange(0), help="So many turns around each hit.")
@_as_json
@click.pass_obj
def search(overrides: dict[str, Any], /, words: tuple[str, ...], as_json: bool, **filters: Any) -> None:
    """Find messages again by their words, and by their meaning where a driver knows it."""
    from whisper_persistence.cli.searching import describe_result, find, print_result, to_query

    query = to_query(" ".join(words), filters)
    with _open_store(overrides) as store:
        result = find(store, query)
    _print_json(describe_result(result)) if as_json else print_result(result, query)


@main.command()
@click.option("--wait", default=3_600.0, show_default=True, help="Wait so many seconds for it to be done.")
@click.pass_obj
def reindex(overrides: dict[str, Any], wait: float) -> None:
    """Build the search indexes anew from the messages that are stored; searches go on meanwhile."""
    from whisper_persistence.cli.searching import rebuild

    with _open_store(overrides) as store:
        rebuild(store, wait, show_progress=True)


@main.command()
@click.option("--path", metavar="FILE", help="Keep the demo's SQLite file here, instead of removing it at the end.")
@click.pass_obj
def demo(overrides: dict[str, Any], path: str | None) -> None:
    """Watch a companion remember across a process that is killed.

    One process talks and learns and is killed without warning; another remembers. They use a temporary SQLite file,
    unless --path, --url or --config names another place, and the namespace "demo", unless --namespace names another.
    """
    from whisper_persistence.demo import run_demo

    if path and (overrides["url"] or overrides["config"]):
        raise click.UsageError("--path names a SQLite file; leave it out where --url or --config names the place")
    if not run_demo(overrides, path):
        raise click.exceptions.Exit(1)


@main.command(name="demo-talk", hidden=True)
@click.argument("run")
@click.pass_obj
def demo_talk(overrides: dict[str, Any], run: str) -> None:
    """Talk, learn, and be killed: the first process of the demo."""
    from whisper_persistence.demo import talk

    talk(_open_store(overrides), run)


@main.command(name="demo-recall", hidden=True)
@click.argument("run")
@click.pass_obj
def demo_recall(overrides: dict[str, Any], run: str) -> None:
    """Say what is remembered: the second process of the demo."""
    from whisper_persistence.demo import recall

    with _open_store(overrides) as store:
        if not recall(store, run):
            raise click.exceptions.Exit(1)


def _open_store(overrides: dict[str, Any]) -> Store:
    from whisper_persistence.store import Store

    return Store.from_settings(**overrides)


def _print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
