"""Charts of everything that was measured, as one page that needs no network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import altair as alt

#: Ratios of nothing cannot be drawn on a logarithmic scale.
_LEAST: Final = 1e-2
_VERDICTS: Final = ["short", "short of goal", "met bar", "met goal"]
_COLOURS: Final = ["#b3261e", "#c77700", "#35608f", "#2e7d32"]


def page(parts: list[dict[str, Any]]) -> str:
    """Return the page: how far each figure is within its bar, and each contestant beside the challenger.

    Args:
        parts: what was measured, as `all.py` writes it.
    """
    sizes = [point for part in parts for point in part.get("growth", ())]
    charts = [_judged(list(judged(parts))), _beside(list(beside(parts))), _growth(sizes)]
    drawn = (
        alt.vconcat(*charts)
        .resolve_scale(color="independent")
        .configure_view(stroke=None)
        .configure_axis(labelLimit=420)
    )
    html: str = drawn.to_html(inline=True)
    return html


def judged(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield for each figure which part of what is allowed it takes: 1 is the bar, or the goal where there is no bar."""
    for part, workload in _workloads(parts):
        for row in workload["rows"]:
            allowed = row["goal"] if row["bar"] is None else row["bar"]
            if allowed is not None:
                taken = allowed / row["value"] if row["at_least"] else row["value"] / allowed
                yield {
                    "figure": f"{part}: {row['title']}",
                    "taken": max(taken, _LEAST),
                    "verdict": row["verdict"],
                    "value": row["value"],
                    "allowed": allowed,
                }


def beside(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield for each contestant but the challenger how many times as long as the challenger it took."""
    for part, workload in _workloads([part for part in parts if "growth" not in part]):
        names = list(workload["contestants"])
        challenger = names[1] if len(names) > 1 else names[0]
        mine = workload["contestants"][challenger]["median"]
        for name in names:
            if name != challenger and mine:
                times = max(workload["contestants"][name]["median"] / mine, _LEAST)
                yield {"workload": f"{part}: {workload['name']}", "contestant": name, "times": times}


def _workloads(parts: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in parts:
        for workload in part["workloads"]:
            yield part["name"], workload


def _judged(rows: list[dict[str, Any]]) -> Any:
    share = alt.X("taken:Q", scale=alt.Scale(type="log"), title="of what is allowed (left of 1 meets it)")
    colour = alt.Color("verdict:N", scale=alt.Scale(domain=_VERDICTS, range=_COLOURS), title=None)
    figures = _chart(rows).mark_point(filled=True, size=70)
    points = figures.encode(x=share, y=_names("figure"), color=colour, tooltip=["figure:N", "value:Q", "allowed:Q"])
    return alt.layer(points, _one()).properties(title="Measured against the bars", width=560)


def _beside(rows: list[dict[str, Any]]) -> Any:
    times = alt.X("times:Q", scale=alt.Scale(type="log"), title="times as long as this package (right of 1 is slower)")
    contestants = _chart(rows).mark_tick(thickness=3)
    ticks = contestants.encode(
        x=times,
        y=_names("workload"),
        color=alt.Color("contestant:N", title=None, scale=alt.Scale(scheme="tableau20")),
        tooltip=["workload:N", "contestant:N", "times:Q"],
    )
    return alt.layer(ticks, _one()).properties(title="Beside floors and peers, medians", width=560)


def _growth(points: list[dict[str, Any]]) -> Any:
    return (
        _chart(points)
        .mark_line(point=True)
        .encode(
            x=alt.X("size:Q", scale=alt.Scale(type="log"), title="how much is held"),
            y=alt.Y("median:Q", scale=alt.Scale(type="log"), title="nanoseconds of a call, median"),
            color=alt.Color("workload:N", title=None),
        )
        .properties(title="Growth", width=560)
    )


def _chart(rows: list[dict[str, Any]]) -> Any:
    data: Any = alt.Data
    return alt.Chart(data(values=rows))


def _names(field: str) -> Any:
    return alt.Y(f"{field}:N", title=None, sort=None)


def _one() -> Any:
    return _chart([{"x": 1}]).mark_rule(strokeDash=[4, 4]).encode(x="x:Q")
