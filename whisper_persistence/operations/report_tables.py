"""A report as tables of text, the same on a screen and on a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from whisper_persistence.operations.report import UsageReport
from whisper_persistence.records import ApproachEffectiveness, HourActivityAnswer, PeriodEffectiveness, RetentionAnswer

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: How many of the latest days a table shows.
_DAYS: Final = 14
#: How many later periods a table shows.
_PERIODS: Final = 8


@attrs.frozen
class Section:
    """One part of a report.

    Attributes:
        name: what it is called in code.
        title, note: what stands above and beside it.
        columns, rows: the table.
        shares: for each row how long its bar is, 0 to 1; nothing where bars make no sense.
    """

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    shares: tuple[float, ...] = ()


def sections(report: UsageReport) -> list[Section]:
    """Return the parts of a report that have something to show."""
    return [section for section in _sections(report) if section.rows]


def _sections(report: UsageReport) -> Iterator[Section]:
    yield from _support(report)
    yield from _memories(report)
    yield from _talk(report)
    if report.namespaces:
        names = ("bot", "users", "messages", "memories", "mean importance", "interventions", "helped")
        rows = tuple(
            (
                row.namespace,
                f"{row.users:,}",
                f"{row.messages:,}",
                f"{row.memories:,}",
                "" if row.mean_importance is None else f"{row.mean_importance:.2f}",
                f"{row.interventions:,}",
                f"{row.successes / row.interventions:.0%}" if row.interventions else "",
            )
            for row in report.namespaces.rows
        )
        yield Section("namespaces", "Bots of this database", "All that is kept of each.", names, rows)


def _support(report: UsageReport) -> Iterator[Section]:
    note = "The share of interventions that helped, and between which values the true share lies with 95 % confidence."
    measured = ("tried", "users", "helped", "between")
    if report.approaches:
        found = report.approaches.rows
        contexts = any(row.context is not None for row in found)
        columns = ("approach", *(("context",) if contexts else ()), *measured)
        rows = tuple((row.approach, *((row.context or "",) if contexts else ()), *_measured(row)) for row in found)
        yield Section("approaches", "What helps", note, columns, rows, tuple(row.success_rate for row in found))
    if report.trend:
        weeks = report.trend.rows
        rows = tuple((f"{row.start:%Y-%m-%d}", *_measured(row)) for row in weeks)
        shares = tuple(row.success_rate for row in weeks)
        yield Section("trend", "Does it get better?", "By week.", ("week from", *measured), rows, shares)


def _measured(row: ApproachEffectiveness | PeriodEffectiveness) -> tuple[str, ...]:
    return f"{row.count:,}", f"{row.users:,}", f"{row.success_rate:.0%}", f"{row.low:.0%} to {row.high:.0%}"


def _memories(report: UsageReport) -> Iterator[Section]:
    if report.importance:
        one = report.importance
        facts = (("memories", f"{one.count:,}"), ("mean", f"{one.mean:.2f}"), ("median", f"{one.median:.2f}"))
        deciles = tuple((f"decile {n}", f"{value:.2f}") for n, value in enumerate(one.deciles, 1))
        factors = tuple((f"factor {name}", f"{value:.2f}") for name, value in one.factor_averages.items())
        rows = (*facts, *deciles, *factors)
        yield Section("importance", "How much memories matter", "Scores from 0 to 1.", ("", "score"), rows)
    if report.bands:
        most = max(band.users for band in report.bands)
        rows = tuple((f"{band.low:.1f} to {band.high:.1f}", f"{band.users:,}") for band in report.bands)
        shares = tuple(band.users / most for band in report.bands)
        note = "How many users' memories have this importance on average."
        yield Section("bands", "How much memories matter", note, ("importance", "users"), rows, shares)
    if report.core and report.core.total:
        note = f"{report.core.total:,} memories of {report.core.users:,} users reach 0.85."
        named = tuple((row.memory_id, f"{row.score:.2f}") for row in report.core.rows)
        total = (("all", f"{report.core.total:,}"),)
        yield Section("core", "Core memories", note, ("memory", "score" if named else "number"), named or total)
    if report.patterns:
        columns = ("pattern", "kind", "users", "seen", "importance")
        seen = tuple(
            (row.pattern_id, row.pattern_type, f"{row.users:,}", f"{row.frequency:,}", f"{row.importance:.2f}")
            for row in report.patterns.rows
        )
        yield Section("patterns", "Patterns", "What kinds of memory matter.", columns, seen)


def _talk(report: UsageReport) -> Iterator[Section]:
    if report.hours:
        yield Section("hours", "When people talk", "In UTC.", ("", "messages", "busiest hour"), _weekdays(report.hours))
    if report.days and report.days.rows:
        latest = report.days.rows[-_DAYS:]
        most = max(row.messages for row in latest)
        rows = tuple((f"{row.start:%Y-%m-%d}", f"{row.messages:,}", f"{row.users:,}") for row in latest)
        shares = tuple(row.messages / most for row in latest)
        note = f"The latest {len(latest)} days with messages."
        yield Section("days", "From day to day", note, ("day", "messages", "users"), rows, shares)
    if report.cohorts:
        later = tuple(f"+{n}" for n in range(1, _PERIODS + 1))
        note = "How many of those who wrote for the first time in one week wrote again so many weeks later."
        yield Section("cohorts", "Do they come back?", note, ("first week", "users", *later), _cohorts(report.cohorts))


def _weekdays(answer: HourActivityAnswer) -> tuple[tuple[str, ...], ...]:
    by_day = {day: [row for row in answer.rows if row.weekday == day] for day in range(7)}
    return tuple(
        (
            WEEKDAYS[day],
            f"{sum(row.messages for row in rows):,}",
            f"{max(rows, key=lambda row: row.messages).hour:02}:00",
        )
        for day, rows in by_day.items()
        if rows
    )


def _cohorts(answer: RetentionAnswer) -> tuple[tuple[str, ...], ...]:
    starts = {row.start: row.users for row in answer.rows}
    rates = {(row.start, row.period): row.rate for row in answer.rows}
    return tuple(
        (
            f"{start:%Y-%m-%d}",
            f"{users:,}",
            *(f"{rates[start, n]:.0%}" if (start, n) in rates else "" for n in range(1, _PERIODS + 1)),
        )
        for start, users in starts.items()
    )
