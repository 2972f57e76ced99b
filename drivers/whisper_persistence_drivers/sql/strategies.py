"""Strategies and the learning history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, select

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records import Outcome, OutcomeQuery, Receipt, Strategy, StrategyChange
from whisper_persistence.records.fields import to_units
from whisper_persistence_drivers.sql.checksums import Text, checked, encode_checked
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.damage import Asked, read_page, sorted_out
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, mine, set_sequence, to_micros
from whisper_persistence_drivers.sql.standing import Step
from whisper_persistence_drivers.sql.transaction import Transaction

_strategy = checked(Strategy)
_outcome = checked(Outcome)


class _Statements(NamedTuple):
    load: Prepared
    put: Prepared
    put_totals: Prepared
    load_outcomes: Prepared
    find_outcomes: Prepared
    add_outcomes: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    strategies, outcomes = tables.strategies.c, tables.outcomes.c

    def page(given: Mapping[str, Any]) -> Any:
        older = (outcomes.user_id == given["user_id"], outcomes.sequence < given["before"])
        found = select(outcomes.sequence, *flavour.checked(outcomes)).where(mine(outcomes), *older)
        return found.order_by(outcomes.sequence.desc()).limit(given["limit"])

    def known(given: Mapping[str, Any]) -> Any:
        same = (outcomes.user_id == given["user_id"], outcomes.outcome_id == given["outcome_id"])
        return select(outcomes.outcome_id).where(mine(outcomes), *same)

    load = select(strategies.user_id, *flavour.checked(strategies)).where(
        mine(strategies), flavour.among(strategies.user_id)
    )
    return _Statements(
        load=flavour.prepare(load),
        put=flavour.put(tables.strategies),
        put_totals=flavour.put(tables.profiles, keep=("created_at",)),
        load_outcomes=flavour.each(page, user_id=PlainText, before=BigInteger(), limit=BigInteger()),
        find_outcomes=flavour.each(known, user_id=PlainText, outcome_id=PlainText),
        add_outcomes=flavour.add(tables.outcomes),
    )


def load_strategies(session: Session, user_ids: Sequence[str]) -> dict[str, Strategy]:
    """Return the strategies that exist, by user id."""
    rows = session.listed(_statements(session.flavour).load, user_ids)
    try:
        return {user_id: _strategy(record, kept) for user_id, record, kept in rows}
    except StorageDamagedError:
        raise sorted_out(session, "strategies", rows, lambda row: _strategy(*row[1:])) from None


def load_outcomes(session: Session, queries: Sequence[OutcomeQuery]) -> dict[OutcomeQuery, tuple[Outcome, ...]]:
    """Return a page of outcomes for each query that finds any, newest first."""
    sets = [
        {"user_id": query.user_id, "before": NEWEST if query.before is None else query.before, "limit": query.limit}
        for query in queries
    ]
    statement = _statements(session.flavour).load_outcomes
    pages = zip(queries, sets, session.each(statement, sets), strict=True)
    return {
        query: read_page(session, Asked("outcomes", statement, values), rows, lambda row: read_outcome(*row))
        for query, values, rows in pages
        if rows
    }


def read_outcome(sequence: int, record: Text, kept: int | None) -> Outcome:
    """Return an outcome from its row."""
    outcome = _outcome(record, kept, sequence)
    set_sequence(outcome, sequence)
    return outcome


def save_strategies(transaction: Transaction, strategies: Sequence[Strategy]) -> list[Receipt]:
    """Put whole strategies; of several of one user the last wins."""
    transaction.ensure_users(strategy.user_id for strategy in strategies)
    steps = transaction.advance("user", [(strategy.user_id, 1, 0) for strategy in strategies])
    _put(transaction, {strategy.user_id: strategy for strategy in strategies})
    for strategy, step in zip(strategies, steps, strict=True):
        transaction.tell("strategies", strategy.user_id, "", step.revision)
    return [step.receipt() for step in steps]


def update_strategies(transaction: Transaction, changes: Sequence[StrategyChange]) -> list[Receipt]:
    """Fold changes into the strategies, and append their outcomes to the history."""
    users = [change.user_id for change in changes]
    transaction.hold("user", users)
    transaction.ensure_users(users)
    new = _new_changes(transaction, changes)
    steps = transaction.advance(
        "user",
        [
            (was.user_id, 1, len(now.outcomes)) if now else (was.user_id, 0, 0)
            for was, now in zip(changes, new, strict=True)
        ],
    )
    strategies = load_strategies(transaction, users)
    folded: dict[str, Strategy] = {}
    outcomes: list[tuple[Any, ...]] = []
    for change, step in zip(new, steps, strict=True):
        if change:
            user_id = change.user_id
            folded[user_id] = strategies[user_id] = change.apply_to(strategies.get(user_id))
            outcomes += _outcome_rows(transaction, change, step)
            transaction.tell("strategies", user_id, "", step.revision)
    _put(transaction, folded)
    transaction.insert(_statements(transaction.flavour).add_outcomes, outcomes)
    return [step.receipt() for step in steps]


def _new_changes(transaction: Transaction, changes: Sequence[StrategyChange]) -> list[StrategyChange | None]:
    """Return each change less the outcomes that are known already, or ``None`` for one that was applied before."""
    seen = _known_outcomes(transaction, changes) if transaction.careful else set[tuple[str, str]]()
    new: list[StrategyChange | None] = []
    for change, fresh in zip(changes, transaction.fresh(changes), strict=True):
        ids = {outcome.outcome_id for outcome in change.outcomes}
        known = frozenset(outcome_id for outcome_id in ids if (change.user_id, outcome_id) in seen)
        new.append(change.without_outcomes(known) if fresh else None)
        seen |= {(change.user_id, outcome_id) for outcome_id in ids} if fresh else set()
    return new


def _known_outcomes(session: Session, changes: Sequence[StrategyChange]) -> set[tuple[str, str]]:
    keys = [(change.user_id, outcome.outcome_id) for change in changes for outcome in change.outcomes]
    sets = [{"user_id": user_id, "outcome_id": outcome_id} for user_id, outcome_id in keys]
    found = session.each(_statements(session.flavour).find_outcomes, sets)
    return {key for key, rows in zip(keys, found, strict=True) if rows}


def _outcome_rows(transaction: Transaction, change: StrategyChange, step: Step) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for sequence, outcome in enumerate(change.outcomes, step.sequence):
        measured = (to_units(outcome.effectiveness_score), to_micros(outcome.timestamp))
        key = (transaction.namespace, change.user_id, sequence, outcome.outcome_id, outcome.intervention_style)
        rows.append((*key, *measured, *encode_checked(outcome, sequence)))
        transaction.tell("outcomes", change.user_id, outcome.outcome_id, step.revision)
    return rows


def _put(transaction: Transaction, strategies: dict[str, Strategy]) -> None:
    space, sql = transaction.namespace, _statements(transaction.flavour)
    ordered = [strategies[user_id] for user_id in sorted(strategies)]
    transaction.insert(sql.put, [(space, strategy.user_id, *encode_checked(strategy)) for strategy in ordered])
    totals = [(space, s.user_id, 0, s.interventions, s.successes, s.effectiveness_sum) for s in ordered]
    transaction.insert(sql.put_totals, totals)
