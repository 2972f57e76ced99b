"""Strategies and the learning history."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import attrs
from sqlalchemy import BigInteger, Table, Update, bindparam, select

from whisper_persistence.codec import decoder, encode
from whisper_persistence.records import Outcome, OutcomeQuery, Receipt, Strategy, StrategyChange
from whisper_persistence.records.fields import to_units
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, Step, Transaction, mine, set_sequence, to_micros

_strategy = decoder(Strategy)
_outcome = decoder(Outcome)


@attrs.frozen(eq=False)
class _Statements:
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
    load = select(strategies.user_id, strategies.record).where(
        mine(strategies), strategies.user_id.in_(flavour.listed("listed"))
    )
    own = (mine(outcomes), outcomes.user_id == bindparam("user_id"))
    page = select(outcomes.sequence, outcomes.record).where(*own, outcomes.sequence < bindparam("before"))
    known = select(outcomes.outcome_id).where(*own, outcomes.outcome_id.in_(flavour.listed("listed")))
    return _Statements(
        load=flavour.prepare(load),
        put=flavour.put(tables.strategies),
        put_totals=flavour.prepare(_totals(tables.profiles)),
        load_outcomes=flavour.prepare(page.order_by(outcomes.sequence.desc()).limit(bindparam("limit"))),
        find_outcomes=flavour.prepare(known),
        add_outcomes=flavour.add(tables.outcomes),
    )


def _totals(profiles: Table) -> Update:
    names = ("interventions", "successes", "effectiveness_sum")
    updated = {name: bindparam(f"new_{name}", type_=BigInteger()) for name in names}
    return profiles.update().where(mine(profiles.c), profiles.c.user_id == bindparam("user")).values(updated)


def load_strategies(session: Session, user_ids: Sequence[str]) -> dict[str, Strategy]:
    """Return the strategies that exist, by user id."""
    return {
        user_id: _strategy(record) for user_id, record in session.listed(_statements(session.flavour).load, user_ids)
    }


def load_outcomes(session: Session, queries: Sequence[OutcomeQuery]) -> dict[OutcomeQuery, tuple[Outcome, ...]]:
    """Return a page of outcomes for each query that finds any, newest first."""
    found: dict[OutcomeQuery, tuple[Outcome, ...]] = {}
    for query in queries:
        before = NEWEST if query.before is None else query.before
        rows = session.rows(
            _statements(session.flavour).load_outcomes, user_id=query.user_id, before=before, limit=query.limit
        )
        if rows:
            found[query] = tuple(read_outcome(*row) for row in rows)
    return found


def read_outcome(sequence: int, record: str) -> Outcome:
    """Return an outcome from its row."""
    outcome = _outcome(record)
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
    transaction.many(_statements(transaction.flavour).add_outcomes, outcomes)
    return [step.receipt() for step in steps]


def _new_changes(transaction: Transaction, changes: Sequence[StrategyChange]) -> list[StrategyChange | None]:
    """Return each change less the outcomes that are known already, or ``None`` for one that was applied before."""
    known: dict[str, set[str]] = {}
    new: list[StrategyChange | None] = []
    for change, fresh in zip(changes, transaction.fresh(changes), strict=True):
        seen = known.setdefault(change.user_id, set())
        if transaction.careful:
            ids = (outcome.outcome_id for outcome in change.outcomes)
            find = _statements(transaction.flavour).find_outcomes
            seen |= {row[0] for row in transaction.listed(find, ids, user_id=change.user_id)}
        less = change.without_outcomes(frozenset(seen)) if fresh else None
        seen |= {outcome.outcome_id for outcome in less.outcomes} if less else set()
        new.append(less)
    return new


def _outcome_rows(transaction: Transaction, change: StrategyChange, step: Step) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for sequence, outcome in enumerate(change.outcomes, step.sequence):
        measured = (to_units(outcome.effectiveness_score), to_micros(outcome.timestamp))
        key = (transaction.namespace, change.user_id, sequence, outcome.outcome_id, outcome.intervention_style)
        rows.append((*key, *measured, encode(outcome)))
        transaction.tell("outcomes", change.user_id, outcome.outcome_id, step.revision)
    return rows


def _put(transaction: Transaction, strategies: dict[str, Strategy]) -> None:
    space, sql = transaction.namespace, _statements(transaction.flavour)
    transaction.many(sql.put, [(space, user_id, encode(strategies[user_id])) for user_id in sorted(strategies)])
    totals = (strategies[user_id] for user_id in sorted(strategies))
    rows = [(s.interventions, s.successes, s.effectiveness_sum, space, s.user_id) for s in totals]
    transaction.many(sql.put_totals, rows)
