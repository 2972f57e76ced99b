"""Which words of a query name a date: they ask when something was said, as an author's name asks who said it.

English month names and their abbreviations, days and years beside them, years alone, and dates as ISO 8601 writes
them. A month that is an everyday word too (may, march) is one beside a number, or after a word such as "in".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeAlias, TypeVar

#: ``month``, ``day`` or ``year``, and its number.
DatePart: TypeAlias = tuple[str, int]
W = TypeVar("W")

_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_NUMBERS: Final = {
    **{name[:3]: number for number, name in enumerate(_MONTHS, start=1)},
    **{name: number for number, name in enumerate(_MONTHS, start=1)},
    "sept": 9,
}
_NAMED: Final = "|".join(sorted(_NUMBERS, key=len, reverse=True))
_DAY: Final = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR: Final = r"(?:19|20)\d\d"
_ISO: Final = re.compile(rf"\b(?P<year>{_YEAR})-(?P<month>0[1-9]|1[0-2])(?:-(?P<day>0[1-9]|[12]\d|3[01]))?\b")
_WRITTEN: Final = re.compile(
    rf"(?P<led>\b(?:in|of|during|since|until|before|after|by|last|this|next|early|mid|late)[ -]+)?"
    rf"(?:\b(?P<before>{_DAY})(?: of)? +)?\b(?P<month>{_NAMED})\b\.?"
    rf"(?:,? +(?P<after>{_DAY})\b)?(?:,? +(?P<year>{_YEAR})\b)?"
)
_ALONE: Final = re.compile(rf"\b{_YEAR}\b")
_EVERYDAY: Final = frozenset({"may", "march", "mar", "jan", "dec", "sep", "jun"})


def asked_dates(text: str) -> dict[str, DatePart]:
    """Return the words of a query that name a part of a date, and which."""
    folded = text.casefold()
    found: dict[str, DatePart] = {year: ("year", int(year)) for year in _ALONE.findall(folded)}
    for match in _ISO.finditer(folded):
        found.update((number, (part, int(number))) for part, number in match.groupdict().items() if number)
    for match in _WRITTEN.finditer(folded):
        days = [day for day in (match["before"], match["after"]) if day]
        if match["month"] not in _EVERYDAY or match["led"] or match["year"] or days:
            found[match["month"]] = ("month", _NUMBERS[match["month"]])
            found.update((day, ("day", int(re.sub(r"\D", "", day)))) for day in days)
    return found


def dated(moment: datetime, asked: Mapping[W, DatePart]) -> list[W]:
    """Return those of the words that `asked_dates` found, or of what stands for them, that name a moment's date."""
    return [word for word, (part, number) in asked.items() if getattr(moment, part) == number]
