"""Which words of a query ask when something was said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from whisper_persistence.dates import asked_dates, dated
from whisper_persistence.words import asked_words

MAY: dict[str, tuple[str, int]] = {"may": ("month", 5)}


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("", {}),
        ("what may John like?", {}),
        ("did they march on Dec St?", {}),
        ("May I ask 3 things", {}),
        ("What happened in May?", MAY),
        ("MAY 3RD, 2023", MAY | {"3rd": ("day", 3), "2023": ("year", 2023)}),
        ("on 3 May", MAY | {"3": ("day", 3)}),
        ("the 31st of may 2022", MAY | {"31st": ("day", 31), "2022": ("year", 2022)}),
        ("late october", {"october": ("month", 10)}),
        ("Sept. 32", {"sept": ("month", 9)}),
        ("before Mar 1", {"mar": ("month", 3), "1": ("day", 1)}),
        ("2023-05-03", {"2023": ("year", 2023), "05": ("month", 5), "03": ("day", 3)}),
        ("2023-13-45 or in 1850", {"2023": ("year", 2023)}),
        ("in" + " " * 100_000 + "may" + " 3" * 50_000, MAY | {"3": ("day", 3)}),
    ],
)
def test_a_date_is_told_from_an_everyday_word(text, asked):
    found = asked_dates(text)

    assert found == asked
    assert found.keys() <= set(asked_words(text))


def test_a_moment_has_the_words_that_name_its_date():
    moment = datetime(2023, 5, 3, tzinfo=UTC)

    assert dated(moment, asked_dates("on 3 May 2023 or 4 June 2022")) == ["2023", "may", "3"]
    assert dated(moment, {}) == []
