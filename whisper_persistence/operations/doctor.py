"""Whether the memory is well: which drivers were chosen and why, and how each one is."""

from __future__ import annotations

from typing import Any

import attrs

from whisper_persistence.errors import PersistenceError
from whisper_persistence.records import State, TierHealth
from whisper_persistence.settings import Settings
from whisper_persistence.store import Store

#: Details of a tier that are something to look into where they are not zero, and what they mean.
_TO_LOOK_INTO = {
    "dead_letters": "writes were set aside, because the storage refuses them for good",
    "conflicts": "records are kept beside newer ones that another writer put",
    "volatile": "writes wait in memory only, because no journal can be written",
    "damaged": "stored records cannot be read and are left out: whisper-persistence verify --records names them",
    "failures": "calls of this plugin ended in mistakes of its own",
    "elsewhere": "writes wait in journals of other processes",
}


@attrs.frozen
class Diagnosis:
    """How the memory is.

    Attributes:
        drivers: the names of the chain, the first asked first.
        reason: why these.
        sources: the options that settings give each driver, by its name; names alone, for values may be secret.
        tiers: how each driver is, the first asked first.
        problems: what is wrong, in words.
    """

    drivers: tuple[str, ...]
    reason: str
    sources: dict[str, tuple[str, ...]]
    tiers: tuple[TierHealth, ...]
    problems: tuple[str, ...]


def diagnose(settings: Settings) -> Diagnosis:
    """Open the store that settings describe, ask every driver how it is, and close it again."""
    sources = {name: tuple(sorted(settings.options.get(name, {}))) for name in settings.drivers}
    try:
        with Store.from_settings(settings) as store:
            tiers = tuple(store.check_health())
    except PersistenceError as error:
        problem = f"the store cannot be opened: {error}"
        return Diagnosis(settings.drivers, settings.reason, sources, (), (problem,))
    problems = tuple(problem for tier in tiers for problem in _problems(tier))
    return Diagnosis(settings.drivers, settings.reason, sources, tiers, problems)


def _problems(tier: TierHealth) -> list[str]:
    details: dict[str, Any] = tier.details
    found = [
        f"{tier.tier}: {meaning} ({details[name]:,})"
        for name, meaning in _TO_LOOK_INTO.items()
        if _counts(details, name)
    ]
    if tier.state is State.DOWN:
        found.insert(0, f"{tier.tier} is down: {details.get('error', 'it does not answer')}")
    elif tier.state is State.DEGRADED and "error" in details:
        found.insert(0, f"{tier.tier} is degraded: {details['error']}")
    elif tier.state is State.DEGRADED and not found:
        found.append(f"{tier.tier} is degraded")
    return found


def _counts(details: dict[str, Any], name: str) -> bool:
    value = details.get(name)
    return isinstance(value, int) and value > 0
