"""The charts of a report, as Vega-Lite specifications that Altair makes and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, Final

import attrs

from whisper_persistence.errors import MissingLibraryError
from whisper_persistence.operations.report import UsageReport
from whisper_persistence.operations.report_tables import WEEKDAYS

_INK: Final = "#35608f"
_RATE: Final = "success_rate:Q"


def charts(report: UsageReport) -> dict[str, dict[str, Any]]:
    """Return the charts of those parts of a report that have something to draw, by the name of the part.

    Raises:
        MissingLibraryError: altair is not installed.
    """
    alt = _altair()
    drawn: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
        "approaches": (report.approaches and report.approaches.rows, _approaches),
        "trend": (report.trend and report.trend.rows, _trend),
        "bands": (report.bands, _bands),
        "patterns": (report.patterns and report.patterns.rows, _patterns),
        "hours": (report.hours and report.hours.rows, _hours),
        "days": (report.days and report.days.rows, _days),
        "cohorts": (report.cohorts and [row for row in report.cohorts.rows if row.period], _cohorts),
    }
    made = {name: draw(alt, alt.Data(values=_values(rows))) for name, (rows, draw) in drawn.items() if rows}
    return {
        name: chart.configure_view(stroke=None).properties(width="container").to_dict() for name, chart in made.items()
    }


def _altair() -> Any:
    try:
        return import_module("altair")
    except ImportError:
        raise MissingLibraryError(
            "a page with charts needs altair: pip install 'whisper-persistence[duckdb]'"
        ) from None


def _values(rows: Iterable[Any]) -> list[dict[str, Any]]:
    plain = [attrs.asdict(row) for row in rows]
    for row in plain:
        if "start" in row:
            row["start"] = f"{row['start']:%Y-%m-%d}"
        if "weekday" in row:
            row["weekday"] = WEEKDAYS[row["weekday"]]
        if "approach" in row and row["context"] is not None:
            row["approach"] = f"{row['approach']}, {row['context']}"
    return plain


def _share(alt: Any) -> Any:
    return alt.X(_RATE, title="helped", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))


def _approaches(alt: Any, data: Any) -> Any:
    by_count = alt.Y("approach:N", title=None, sort="-x", axis=alt.Axis(labelLimit=140))
    bars = alt.Chart(data).mark_bar(color=_INK, opacity=0.75).encode(x=_share(alt), y=by_count)
    ends = alt.Chart(data).mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", y=by_count)
    return alt.layer(bars, ends).encode(tooltip=["approach:N", "count:Q", "users:Q", "low:Q", "high:Q"])


def _trend(alt: Any, data: Any) -> Any:
    week = alt.X("start:T", title=None)
    rate = alt.Y(_RATE, title="helped", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    between = (
        alt.Chart(data).mark_area(opacity=0.2, color=_INK).encode(x=week, y=alt.Y("low:Q", title="helped"), y2="high:Q")
    )
    return alt.layer(between, alt.Chart(data).mark_line(point=True, color=_INK).encode(x=week, y=rate)).properties(
        height=180
    )


def _bands(alt: Any, data: Any) -> Any:
    width = alt.X("low:Q", title="mean importance", bin=alt.Bin(binned=True), scale=alt.Scale(domain=[0, 1]))
    return alt.Chart(data).mark_bar(color=_INK).encode(x=width, x2="high:Q", y=alt.Y("users:Q")).properties(height=180)


def _patterns(alt: Any, data: Any) -> Any:
    name = alt.Y("pattern_id:N", title=None, sort="-x", axis=alt.Axis(labelLimit=140))
    return alt.Chart(data).mark_bar(color=_INK).encode(x=alt.X("users:Q"), y=name, tooltip=["pattern_id:N", "users:Q"])


def _hours(alt: Any, data: Any) -> Any:
    day = alt.Y("weekday:N", title=None, sort=list(WEEKDAYS))
    shade = alt.Color("messages:Q", legend=None, scale=alt.Scale(scheme="blues"))
    hour = alt.X("hour:O", title="hour, UTC", scale=alt.Scale(domain=list(range(24))), axis=alt.Axis(labelOverlap=True))
    return alt.Chart(data).mark_rect().encode(x=hour, y=day, color=shade, tooltip=["weekday:N", "hour:O", "messages:Q"])


def _days(alt: Any, data: Any) -> Any:
    return (
        alt.Chart(data)
        .mark_bar(color=_INK)
        .encode(x=alt.X("start:T", title=None), y="messages:Q")
        .properties(height=160)
    )


def _cohorts(alt: Any, data: Any) -> Any:
    shade = alt.Color("rate:Q", legend=None, scale=alt.Scale(scheme="blues", domain=[0, 1]))
    base = alt.Chart(data).encode(x=alt.X("period:O", title="weeks later"), y=alt.Y("start:O", title="first week"))
    share = alt.Text("rate:Q", format=".0%")
    ink = alt.condition("datum.rate > 0.5", alt.value("white"), alt.value("black"))
    return alt.layer(base.mark_rect().encode(color=shade), base.mark_text(fontSize=10).encode(text=share, color=ink))
