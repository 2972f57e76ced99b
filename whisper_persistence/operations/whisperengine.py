"""Bringing in what an earlier attempt left in WhisperEngine's PostgreSQL database, which is only read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from whisper_persistence.errors import (
    ConfigurationError,
    MissingLibraryError,
    StorageDamagedError,
    StorageUnavailableError,
    ValidationError,
)
from whisper_persistence.operations.whisperengine_importance import PATTERNS, STATISTICS, pattern_of, statistics_of
from whisper_persistence.operations.whisperengine_rows import Row, Synonyms, TableReport, row_of
from whisper_persistence.operations.whisperengine_strategies import STRATEGY_TABLES, FoundStrategy
from whisper_persistence.records import Receipt, checks
from whisper_persistence.settings.urls import parse_url
from whisper_persistence.store import Store
from whisper_persistence.validation import validate

if TYPE_CHECKING:
    import psycopg

#: Why rows are left where they are.
KNOWN: Final = "known here already"
OURS: Final = "not a table of the earlier attempt: it has a namespace"
PLACEHOLDERS: Final = "placeholders for values lost when they were saved"

_IMPORTANCE: Final[tuple[tuple[str, Synonyms, Callable[[Row], Any]], ...]] = (
    ("user_memory_statistics", STATISTICS, statistics_of),
    ("memory_importance_patterns", PATTERNS, pattern_of),
)
_TABLES: Final = (*STRATEGY_TABLES, *(table for table, *_ in _IMPORTANCE))


def import_whisperengine(store: Store, url: str) -> dict[str, TableReport]:
    """Bring in what an earlier attempt stored, for every user that the store knows nothing of.

    The source is read in one read-only transaction. What the store has of a user, or of a pattern, is left as it is,
    so that importing twice changes nothing.

    Args:
        store: where to.
        url: the database of the bot, ``postgresql://user@host:port/database``.

    Returns:
        What became of the rows, by table; tables that are not there are left out.

    Raises:
        ConfigurationError: the URL cannot be read; never repeats it.
        StorageUnavailableError: the database does not answer.
        StorageDamagedError: a table holds what cannot be read.
    """
    with _reading(url) as connection:
        found = _find_tables(connection)
        reports = {table: TableReport() for table in _TABLES if table in found}
        readable = {table for table in reports if "namespace" not in found[table]}
        for table in reports.keys() - readable:
            reports[table].leave(OURS, sum(1 for _ in _rows(connection, table)))
        _import_strategies(store, connection, {table: reports[table] for table in STRATEGY_TABLES if table in readable})
        for table, synonyms, build in _IMPORTANCE:
            if table in readable:
                rows = _read(connection, table, synonyms, reports[table])
                _import_importance(store, rows, build, reports[table])
    return reports


def _import_strategies(store: Store, connection: Any, reports: Mapping[str, TableReport]) -> None:
    users: dict[str, FoundStrategy] = {}
    for table, report in reports.items():
        for row in _read(connection, table, STRATEGY_TABLES[table], report):
            users.setdefault(row.user_id, FoundStrategy(row.user_id)).rows.append((table, row))
    for chunk in _chunks(users.values()):
        known = store.load_strategies([found.user_id for found in chunk if not checks.check_id(found.user_id)])
        for found in chunk:
            problem = KNOWN if found.user_id in known else _import_strategy(store, found)
            for table, _ in found.rows:
                if problem:
                    reports[table].leave(problem)
                else:
                    reports[table].taken += 1
            if found.placeholders:
                reports[found.rows[-1][0]].leave(PLACEHOLDERS, found.placeholders)


def _import_strategy(store: Store, found: FoundStrategy) -> str | None:
    """Store one user's strategy in one transaction, and return why not, if not."""
    try:
        store.update_strategies(found.changes())
    except ValidationError as error:
        return str(error)
    return None


def _import_importance(store: Store, rows: Iterable[Row], build: Callable[[Row], Any], report: TableReport) -> None:
    seen: set[tuple[str, str]] = set()
    for chunk in _chunks(rows):
        new: dict[tuple[str, str], Any] = {}
        records = [record for row in chunk if (record := _built(build, row, report))]
        known = _known(store, records) | seen
        for record in records:
            key = record.user_id, getattr(record, "pattern_id", "")
            if key in known or key in new:
                report.leave(KNOWN)
            else:
                new[key] = record
        if new:
            _save(store, list(new.values()))
        report.taken += len(new)
        seen |= new.keys()


def _built(build: Callable[[Row], Any], row: Row, report: TableReport) -> Any:
    try:
        record = build(row)
        validate(record)
    except ValidationError as error:
        report.leave(str(error))
        return None
    return record


def _known(store: Store, records: Sequence[Any]) -> set[tuple[str, str]]:
    users = list(dict.fromkeys(record.user_id for record in records))
    if not users:
        return set()
    if hasattr(records[0], "pattern_id"):
        return {(user, kept.pattern_id) for user, held in store.load_patterns(users).items() for kept in held}
    return {(user, "") for user in store.load_statistics(users)}


def _save(store: Store, records: Sequence[Any]) -> Sequence[Receipt]:
    return store.save_patterns(records) if hasattr(records[0], "pattern_id") else store.save_statistics(records)


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == checks.MAX_BATCH:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _read(connection: Any, table: str, synonyms: Synonyms, report: TableReport) -> Iterator[Row]:
    for columns in _rows(connection, table):
        report.rows += 1
        try:
            row = row_of(columns, synonyms)
        except ValidationError as error:
            report.leave(str(error))
        else:
            report.extra |= row.extra.keys()
            yield row


def _rows(connection: psycopg.Connection[Any], table: str) -> Iterator[dict[str, Any]]:
    from psycopg import sql
    from psycopg.rows import dict_row

    with connection.cursor(name="whisper_persistence", row_factory=dict_row) as cursor:
        yield from cursor.execute(sql.SQL("SELECT * FROM public.{}").format(sql.Identifier(table)))


def _find_tables(connection: psycopg.Connection[Any]) -> dict[str, set[str]]:
    """Return the columns of the tables that are there."""
    asked = (
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = ANY(%s)"
    )
    found: dict[str, set[str]] = {}
    for table, column in connection.execute(asked, [list(_TABLES)]):
        found.setdefault(table, set()).add(column)
    return found


@contextmanager
def _reading(url: str) -> Generator[psycopg.Connection[Any]]:
    """Lend a connection inside one read-only transaction that sees one state of the database."""
    if parse_url(url).driver != "postgres":
        raise ConfigurationError("WhisperEngine keeps the tables to import in PostgreSQL: give a postgresql:// url")
    try:
        import psycopg
    except ImportError:
        raise MissingLibraryError(
            "reading WhisperEngine's database needs psycopg: pip install 'whisper-persistence[postgres]'"
        ) from None
    try:
        with psycopg.connect(
            url.strip().replace("postgresql+psycopg:", "postgresql:", 1), connect_timeout=10
        ) as opened:
            opened.read_only = True
            opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield opened
    except psycopg.ProgrammingError as error:
        name = f"{type(error).__name__} {error.sqlstate or ''}".strip()
        raise ConfigurationError(f"WhisperEngine's database cannot be read ({name}): check url and rights") from None
    except psycopg.DataError as error:
        raise StorageDamagedError(
            f"WhisperEngine's database holds what cannot be read ({type(error).__name__}): look for infinite times"
        ) from None
    except psycopg.Error as error:
        raise StorageUnavailableError(
            f"WhisperEngine's database did not answer ({type(error).__name__}): check the url and try again"
        ) from None
