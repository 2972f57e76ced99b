"""What calls are called in OpenTelemetry's conventions.

Sources: the semantic conventions for database client calls (stable) and for GenAI memory operations
(open-telemetry/semantic-conventions-genai). Nothing here looks into a record: only counts, names of hooks and drivers,
how safe a write is, and classes of errors are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, cast

from whisper_persistence.errors import PersistenceError
from whisper_persistence.records import Page, Receipt, TierReport

#: Bounds of the histogram of durations, in seconds, as the conventions advise.
DURATION_BOUNDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

MemoryOperation = Literal["search_memory", "update_memory", "delete_memory"]

#: Which hooks are operations on a memory; the others keep the storage going.
_OPERATIONS: Final[Mapping[str, MemoryOperation]] = {
    "load_": "search_memory",
    "search_": "search_memory",
    "save_": "update_memory",
    "update_": "update_memory",
    "erase_users": "delete_memory",
    "expire": "delete_memory",
}
_UPKEEP: Final = ("load_pending", "load_revisions", "load_vectors", "save_vectors")
#: The names that the conventions have for what the bundled drivers talk to.
_SYSTEMS: Final = {
    "sqlite": "sqlite",
    "postgres": "postgresql",
    "redis-hybrid": "redis",
    "chroma-recall": "chroma",
    "duckdb-analytics": "duckdb",
}
_SUBJECTS: Final = {
    "strategies": "strategies",
    "outcomes": "strategies",
    "statistics": "statistics",
    "scores": "statistics",
    "patterns": "statistics",
    "preferences": "statistics",
    "messages": "conversations",
    "vectors": "conversations",
}


def memory_operation(hook: str) -> MemoryOperation | None:
    """Return the GenAI name of what a hook does with the memory, or ``None`` for upkeep."""
    if hook in _UPKEEP:
        return None
    return next((name for start, name in _OPERATIONS.items() if hook.startswith(start)), None)


def tier_attributes(hook: str, driver: str, namespace: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the database attributes of one call of one driver."""
    items = batch_size(arguments)
    subject = _SUBJECTS.get(hook.partition("_")[2])
    return {
        "db.system.name": system(driver),
        "db.operation.name": hook,
        "db.namespace": namespace,
        "whisper_persistence.driver": driver,
        **({"db.collection.name": subject} if subject else {}),
        **({"db.operation.batch.size": items} if items > 1 else {}),
    }


def tier_name(attributes: Mapping[str, Any]) -> str:
    """Return what the span of one driver is called: the operation, and the collection or namespace that it is about."""
    target = attributes.get("db.collection.name", attributes["db.namespace"])
    return f"{attributes['db.operation.name']} {target}"


def system(driver: str) -> str:
    """Return what a driver talks to; a stranger's driver is called by its own name."""
    return _SYSTEMS.get(driver, driver)


def batch_size(arguments: Mapping[str, Any]) -> int:
    """Return how many items a call carries; 1 for one that carries no batch."""
    return next((len(cast("Sequence[Any]", value)) for value in arguments.values() if type(value) in (list, tuple)), 1)


def returned(answer: Any) -> int | None:
    """Return how many records a read answered with, or ``None`` for what is no read."""
    if isinstance(answer, Page):
        return len(answer.records)
    if not isinstance(answer, Mapping):
        return None
    values = cast("Mapping[Any, Any]", answer).values()
    return sum(len(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else 1 for value in values)


def durabilities(answer: Any) -> dict[str, int]:
    """Return how many items of a write are how safe."""
    found: dict[str, int] = {}
    members = cast("Sequence[Any]", answer) if isinstance(answer, (tuple, list)) else ()
    for receipt in members:
        if isinstance(receipt, Receipt):
            found[receipt.durability.value] = found.get(receipt.durability.value, 0) + 1
    return found


def removed(answer: Any) -> int:
    """Return how many records an erasure or expiry removed, in all tiers."""
    members = cast("Sequence[Any]", answer) if isinstance(answer, (tuple, list)) else ()
    return sum(sum(report.counts.values()) for report in members if isinstance(report, TierReport))


def error_type(error: BaseException) -> str:
    """Return the class of an error: ours by its name, a stranger's with its module."""
    kind = type(error)
    return kind.__name__ if isinstance(error, PersistenceError) else f"{kind.__module__}.{kind.__qualname__}"
