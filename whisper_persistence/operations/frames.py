"""Answers as tables of the libraries that people work on with: Arrow, pandas, polars, where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any, get_origin, get_type_hints

import attrs

from whisper_persistence.errors import MissingLibraryError
from whisper_persistence.records import Answer


def to_arrow(answer: Answer) -> Any:
    """Return the rows of an answer as a ``pyarrow.Table``, with one column per attribute of the rows.

    Raises:
        MissingLibraryError: pyarrow is not installed.
    """
    pa = _library("pyarrow")
    row_class = get_type_hints(type(answer))["rows"].__args__[0]
    hints = get_type_hints(row_class)
    schema = pa.schema([(field.name, _kind(pa, hints[field.name])) for field in attrs.fields(row_class)])
    return pa.Table.from_pylist([attrs.asdict(row) for row in answer.rows], schema)


def to_pandas(answer: Answer) -> Any:
    """Return the rows of an answer as a ``pandas.DataFrame``.

    Raises:
        MissingLibraryError: pandas or pyarrow is not installed.
    """
    _library("pandas")
    return to_arrow(answer).to_pandas()


def to_polars(answer: Answer) -> Any:
    """Return the rows of an answer as a ``polars.DataFrame``.

    Raises:
        MissingLibraryError: polars or pyarrow is not installed.
    """
    return _library("polars").from_arrow(to_arrow(answer))


def _kind(pa: Any, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return pa.list_(pa.float64())
    if get_origin(hint) is dict:
        return pa.map_(pa.string(), pa.float64())
    kinds: dict[type, Callable[[], Any]] = {int: pa.int64, float: pa.float64, str: pa.string}
    for known, kind in kinds.items():
        if hint in (known, known | None):
            return kind()
    if hint is datetime:
        return pa.timestamp("us", tz="UTC")
    raise TypeError(f"no column holds {hint}")


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingLibraryError(f"answers as tables need {name}: pip install {name}") from None
