"""Questions over many users: every answer is that of the reference, whatever was written, changed and erased."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from math import isclose
from typing import Any, Final, cast

import attrs
import pytest

from whisper_persistence import records as rec
from whisper_persistence.errors import ValidationError
from whisper_persistence.plugins import Chain
from whisper_persistence.records.conversations import Role
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.model import ModelDriver

#: A Sunday evening, so that hours, days and weeks all turn within the sample.
BEGIN: Final = datetime(2025, 8, 31, 22, 15, tzinfo=UTC)
STYLES: Final = ("gentle_check_in", "direct_support", "caf\u00e9 \U0001f600", "")
MOODS: Final = ("low", "high", 'a "quoted" mood', "", 3, 2.5, True, None, ["a"], {"b": 1}, "long " * 40)
KEYS: Final = ("mood", 'a"b', "$.mood", "with space", "")
USERS: Final = ("alice", "bob", "u_1", "u%", "\u00e9", "Z", "\U0001f9d8", "'; --")


def questions(users: Sequence[str] = USERS) -> Iterator[rec.Question[Any]]:
    """Yield questions of every class, with every field used."""
    some, middle = tuple(users[:3]), BEGIN + timedelta(days=8, microseconds=3)
    yield from (kind() for kind in rec.QUESTIONS)
    yield from (rec.ImportanceByUser(limit=2, after=after) for after in (None, *sorted(users)))
    yield rec.ImportanceByUser(some, 2)
    yield from (rec.CoreMemories(some, 0.5, 3), rec.CoreMemories((), 0.9, 1), rec.CoreMemories(minimum_group=50))
    yield from (rec.TopPatterns(some), rec.TopPatterns(minimum_group=3), rec.TopPatterns(limit=1))
    for key in KEYS:
        yield rec.EffectivenessByApproach(key)
    yield rec.EffectivenessByApproach("mood", some, BEGIN, middle, 0.8, 2, 3)
    yield rec.EffectivenessByApproach(minimum_group=5)
    yield from (rec.EffectivenessTrend(days) for days in (1, 3, 30))
    yield rec.EffectivenessTrend(1, "gentle_check_in", some, BEGIN, middle, 0.99, 2, 3)
    for kind in (rec.ActivityByHour, rec.ActivityByDay):
        yield from (kind(some), kind(since=middle), kind(until=middle), kind(minimum_group=3))
    yield from (rec.ActivityByDay(limit=2), rec.RetentionCohorts(1), rec.RetentionCohorts(2, 1, 2, 2))
    yield rec.CompareNamespaces(minimum_group=100)


def near(found: Any, expected: Any) -> bool:
    """Say whether two answers are the same, numbers apart from what rounding does to them."""
    return type(found) is type(expected) and _near(attrs.astuple(found), attrs.astuple(expected))


def _near(found: Any, expected: Any) -> bool:
    if isinstance(expected, tuple):
        pairs = zip_longest(found, cast("tuple[Any, ...]", expected), fillvalue="absent")
        return isinstance(found, tuple) and all(_near(*pair) for pair in pairs)
    if isinstance(expected, dict):
        return _near(tuple(sorted(found.items())), tuple(sorted(cast("dict[str, Any]", expected).items())))
    if isinstance(expected, float):
        return isinstance(found, float) and isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    return bool(found == expected) and type(found) is type(expected)


class Sample:
    """Random writes, the same for every store that they are made to."""

    def __init__(self, claimed: frozenset[str], seed: int) -> None:
        self.claimed = claimed
        self.random = random.Random(seed)  # noqa: S311

    def batches(self) -> Iterator[tuple[str, list[Any]]]:
        """Yield hooks and what to write with them."""
        if "strategies" in self.claimed:
            yield "update_strategies", [self._learned() for _ in range(60)]
        if "statistics" in self.claimed:
            yield "update_statistics", [self._scored() for _ in range(40)]
            yield "update_statistics", [rec.StatisticsChange("alice", forgotten=["m0", "m1"]), self._scored()]
            yield "update_patterns", [self._seen() for _ in range(40)]
        if "conversations" in self.claimed:
            yield "save_messages", [self._said(n) for n in range(150)]
            yield "update_messages", [rec.MessageEdit("talk 1", "5", "new"), rec.MessageRedaction("talk 2", "6")]
            yield "update_messages", [rec.ClearMark("talk 0"), rec.ClearMark("talk 1", 7)]
            yield "save_messages", [self._said(n) for n in range(150, 180)]

    def _user(self) -> str:
        return self.random.choice(USERS)

    def _moment(self) -> datetime:
        return BEGIN + timedelta(microseconds=self.random.randrange(30 * 24 * 3_600 * 1_000_000))

    def _learned(self) -> rec.StrategyChange:
        pick = self.random.choice
        context = {key: pick(MOODS) for key in self.random.sample(KEYS, 3)}
        score = pick((0.6, 0.599999999, 0.0, 1.0, self.random.random()))
        found = samples.outcome(score, pick(STYLES), timestamp=self._moment(), context=context)
        return rec.StrategyChange(self._user(), [found])

    def _scored(self) -> rec.StatisticsChange:
        user, pick = self._user(), self.random.choice
        scores = [
            samples.score(
                f"m{self.random.randrange(9)}",
                pick((0.85, 0.849999999, self.random.random())),
                user,
                factor_scores={
                    name: self.random.random() for name in self.random.sample(("a", "b.c", '"', ""), 2) if name
                },
                calculation_timestamp=self._moment(),
            )
            for _ in range(self.random.randrange(1, 4))
        ]
        return rec.StatisticsChange(user, scores)

    def _seen(self) -> rec.PatternChange:
        pick, number = self.random.choice, self.random.random
        kind = pick(("", "topic", "\u00e9"))
        return rec.PatternChange(self._user(), pick(("sea", "climbing", "'")), number(), number(), kind)

    def _said(self, number: int) -> rec.Message:
        user = self._user()
        role: Role = self.random.choice(("user", "user", "assistant", "system"))
        author = self.random.choice((user, "bob")) if role == "user" else "bot"
        return rec.Message(
            f"talk {number % 4}",
            user,
            author,
            "words",
            role,
            str(number),
            self._moment(),
        )


@needs("aggregate")
class AggregateConformance(Conformance):
    """What `aggregate` answers."""

    def test_an_empty_store_has_empty_answers(self, store: Store) -> None:
        for question in self._asked(kind() for kind in rec.QUESTIONS):
            if question.subject:
                assert store.aggregate(question).rows == ()

    def test_every_answer_is_that_of_the_reference(self, store: Store) -> None:
        model = self._model(store)
        for hook, batch in Sample(self.capabilities, 1).batches():
            for one in (store, model):
                getattr(one, hook)(batch)
        self._compare(store, model)

    def test_answers_follow_every_write(self, store: Store) -> None:
        model = self._model(store)
        for hook, batch in Sample(self.capabilities, 3).batches():
            for one in (store, model):
                getattr(one, hook)(batch[:20])
            asked = (rec.ImportanceByUser(), rec.TopPatterns(), rec.EffectivenessTrend(), rec.ActivityByDay())
            self._compare(store, model, asked)

    def test_nasty_ids_are_counted_like_any_other(self, store: Store) -> None:
        model = self._model(store)
        for one in (store, model):
            for n, user in enumerate(nasty.IDS[::2]):
                samples.fill(one, self.capabilities, user, nasty.IDS[-1 - n])
        some = nasty.IDS[:6:2]
        self._compare(
            store, model, [*(kind() for kind in rec.QUESTIONS), rec.ImportanceByUser(some), rec.TopPatterns(some)]
        )

    @needs("erase")
    def test_an_erased_user_counts_no_more(self, store: Store) -> None:
        model = self._model(store)
        for hook, batch in Sample(self.capabilities, 4).batches():
            for one in (store, model):
                getattr(one, hook)(batch)
        self._compare(store, model, [kind() for kind in rec.QUESTIONS])
        for users in (["bob"], ["alice", "\u00e9", "never seen"], USERS):
            for one in (store, model):
                one.erase_users(users)
            self._compare(store, model, [kind() for kind in rec.QUESTIONS])

    def test_namespaces_do_not_count_each_other(self, store: Store, path: Any) -> None:
        samples.fill(store, self.capabilities)
        with self.open_store(path, "another") as other:
            for question in self._asked(kind() for kind in rec.QUESTIONS if kind is not rec.CompareNamespaces):
                assert other.aggregate(question).rows == ()

    def test_what_is_no_question_is_refused(self, store: Store) -> None:
        refused: tuple[Any, ...] = ("SELECT 1", None, rec.TopPatterns(limit=0), rec.CoreMemories([""]))
        for question in refused:
            with pytest.raises(ValidationError):
                store.aggregate(question)

    def _model(self, store: Store) -> Store:
        return Store(Chain.of({"model": ModelDriver()}), store.namespace)

    def _asked(self, asked: Iterable[rec.Question[Any]]) -> Iterator[rec.Question[Any]]:
        whole = {"strategies", "statistics", "conversations"} <= self.capabilities
        return (
            question for question in asked if question.subject in self.capabilities or (whole and not question.subject)
        )

    def _compare(self, store: Store, model: Store, asked: Iterable[rec.Question[Any]] | None = None) -> None:
        for question in self._asked(questions() if asked is None else asked):
            found: Any = store.aggregate(question)
            expected: Any = model.aggregate(question)
            if isinstance(question, rec.CompareNamespaces):
                found = attrs.evolve(found, rows=tuple(row for row in found.rows if row.namespace == store.namespace))
                expected = attrs.evolve(expected, hidden=found.hidden)

            assert near(found, expected), f"{question} is answered by {found} instead of {expected}"
