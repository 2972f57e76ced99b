"""The ``report`` command: tables and plots on a screen, or a page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from whisper_persistence.cli.profile import visible
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.operations import Section, UsageReport, sections
from whisper_persistence.operations.report_tables import WEEKDAYS

_SHADES: Final = " \u2591\u2592\u2593\u2588"
_BAR: Final = 20


def print_report(report: UsageReport, console: Console | None = None) -> None:
    """Print a report."""
    console = console or Console(highlight=False)
    whose = f"about {visible(report.user_id)}" if report.user_id else "about everybody"
    console.print(f"[bold]{visible(report.namespace)}[/] {whose}, as of {report.created:%Y-%m-%d %H:%M} UTC\n")
    if report.is_empty():
        console.print("there is nothing to report")
    for section in sections(report):
        console.print(f"[bold]{escape(section.title)}[/]")
        console.print(f"[dim]{escape(section.note)}[/]")
        console.print(_heat(report) if section.name == "hours" else _table(section))
        console.print()
    if report.hidden:
        hidden = f"{report.hidden:,} groups of fewer than {report.minimum_group} users are left out"
        console.print(f"{hidden}: --minimum-group says how small a group may be")


def _table(section: Section) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for number, column in enumerate(section.columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    if section.shares:
        table.add_column("")
    for number, row in enumerate(section.rows):
        bar = (_bar(section.shares[number]),) if section.shares else ()
        table.add_row(*map(visible, row), *bar)
    return table


def _bar(share: float) -> str:
    full = round(share * _BAR)
    return f"[blue]{_SHADES[4] * full}[/][dim]{_SHADES[1] * (_BAR - full)}[/]"


def _heat(report: UsageReport) -> Table:
    """Return the hours of the week, the darker the more is said."""
    rows = report.hours.rows if report.hours else ()
    counts = {(row.weekday, row.hour): row.messages for row in rows}
    most = max(counts.values(), default=1)
    table = Table.grid(padding=(0, 1))
    table.add_row("", "".join(f"{hour:<8}" for hour in range(0, 24, 4)))
    for day, name in enumerate(WEEKDAYS):
        cells = (counts.get((day, hour), 0) for hour in range(24))
        line = "".join(_SHADES[-(-count * (len(_SHADES) - 1) // most)] * 2 for count in cells)
        table.add_row(name, f"[blue]{line}[/]")
    return table


def write_page(report: UsageReport, file: str) -> Path:
    """Write a report as a page, in place of what was there, readable by its owner alone.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    from whisper_persistence.operations.report_page import render_page

    path, page = Path(file), render_page(report)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.touch(mode=0o600)
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise ConfigurationError(f"the page {file} cannot be written ({error.strerror}): name another file") from None
    return path


def describe_report(report: UsageReport) -> Any:
    """Return a report as JSON data."""
    from whisper_persistence import codec

    return codec.to_mapping(report)
