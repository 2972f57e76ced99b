"""A report as one HTML page that needs nothing else: charts, tables, and the scripts that draw them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib import import_module
from typing import Any, Final

from whisper_persistence.errors import MissingLibraryError
from whisper_persistence.operations import report_charts
from whisper_persistence.operations.report import UsageReport
from whisper_persistence.operations.report_tables import Section, sections

#: The browser itself sees to it that the page asks no other: all that may run is what stands in it.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
)
_STYLE: Final = """
:root { color-scheme: light; --ink: #1b1b1f; --soft: #5c5f66; --line: #d8dbe0; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; margin: 0 auto; padding: 1rem;
       max-width: 60rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p, figcaption { color: var(--soft); margin: .25rem 0; }
figure { margin: 0; break-inside: avoid; } .chart { width: 100%; min-height: 1px; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; width: 100%; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
         font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 6.5rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 11px; } h2 { break-after: avoid; margin-top: 1.2rem; }
  .table { overflow: visible; } section, tr { break-inside: avoid; } @page { margin: 15mm; }
}
"""


def render_page(report: UsageReport) -> str:
    """Return the page.

    Raises:
        MissingLibraryError: altair or vl-convert-python is not installed.
    """
    charts = report_charts.charts(report)
    title = f"{report.namespace}: {report.user_id or 'everybody'}"
    body = "\n".join(_section(section, section.name in charts) for section in sections(report))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(_subtitle(report))}</p>\n{body}\n"
        f"<script>{_bundle()}</script>\n<script>{''.join(_drawing(charts))}</script>\n</body>\n</html>\n"
    )


def _subtitle(report: UsageReport) -> str:
    made = f"{report.created:%Y-%m-%d %H:%M} UTC"
    if report.user_id:
        return made
    return f"{made}; groups of fewer than {report.minimum_group} users are left out ({report.hidden} of them)"


def _section(section: Section, drawn: bool) -> str:
    chart = f'<div class="chart" id="{section.name}"></div>' if drawn else ""
    head = "".join(f"<th>{escape(name)}</th>" for name in section.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in section.rows)
    table = f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    figure = f"<figure>{chart}<figcaption>{escape(section.note)}</figcaption></figure>"
    return f"<section><h2>{escape(section.title)}</h2>{figure}{table}</section>"


def _drawing(charts: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, chart in charts.items():
        # In a script, "</" would end it, whatever stands around it.
        spec = json.dumps(chart).replace("</", "<\\/").replace("<!--", "<\\u0021--")
        yield f'vegaEmbed("#{name}", {spec}, {{actions: false, renderer: "svg"}});\n'


def _bundle() -> str:
    try:
        import_module("vl_convert")
    except ImportError:
        raise MissingLibraryError(
            "a page with charts needs vl-convert-python: pip install 'whisper-persistence[duckdb]'"
        ) from None
    return _scripts()


@cache
def _scripts() -> str:
    """Return what draws charts, which takes a second to put together."""
    bundle: str = import_module("vl_convert").javascript_bundle()
    return bundle.replace("</script", "<\\/script")
