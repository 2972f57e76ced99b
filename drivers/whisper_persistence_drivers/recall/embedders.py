"""Texts to vectors: by an embedder that settings name, whose identity is kept with every vector."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from whisper_persistence.errors import ConfigurationError, StorageUnavailableError
from whisper_persistence_drivers.recall.chroma_function import ChromaFunction
from whisper_persistence_drivers.recall.embedding import clipped, normalised

#: Characters of one group of texts: wordllama pads each of a group to the longest.
_GROUP: Final = 16_384


class Embedder(Protocol):
    """Turns texts into vectors of unit length."""

    @property
    def identity(self) -> str:
        """Name, version and number of dimensions; vectors of different ones are never compared."""
        ...

    @property
    def by_words(self) -> bool:
        """Whether a text's vector is the mean of its words', so that words can be weighed by their rarity."""
        ...

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Return each text as 32-bit floats, little-endian, of unit length; all zeros for what has no meaning to it."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def make_embedder(name: str, options: Mapping[str, Any], folder: Path, timeout: float) -> Embedder:
    """Return the embedder of this name, ready.

    Args:
        name: ``wordllama``; ``chroma:`` and a name that Chroma knows an embedding function by; or ``package:callable``,
            called with a list of texts.
        options: keyword arguments for Chroma's function, or for wordllama's ``load``.
        folder: where a child process may run.
        timeout: seconds for one batch of texts, where another process or a network is asked.

    Raises:
        ConfigurationError: there is none of this name, or it cannot be loaded.
        StorageUnavailableError: it did not answer.
    """
    kind, _, rest = name.partition(":")
    if name == "wordllama":
        return _Wordllama.load(options)
    if kind == "chroma" and rest:
        return ChromaFunction.start(rest, options, folder, timeout)
    if rest:
        return _Callable.load(kind, rest)
    raise ConfigurationError(
        f"driver 'chroma-recall' knows no embedder {name!r}: name wordllama, chroma:NAME or package.module:callable"
    )


@attrs.frozen(eq=False)
class _Wordllama:
    """The model inside wordllama's own wheel: offline, about 25 microseconds a text."""

    identity: str
    _model: Any
    by_words: bool = True

    @classmethod
    def load(cls, options: Mapping[str, Any]) -> _Wordllama:
        settings = {"config": "l2_supercat", "dim": 256, **options}
        try:
            model = _load_wordllama(tuple(settings.items()))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"embedder 'wordllama' cannot load {settings['config']} ({type(error).__name__}): "
                "remove embedder_options, or name a model that is inside its package"
            ) from None
        size = model.embedding.shape[1]
        return cls(f"wordllama:{settings['config']}:{version('wordllama')}:{size}", model)

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        short = clipped(texts)
        found = [b""] * len(short)
        for group in _groups(short):
            vectors = self._model.embed([short[place] for place in group], batch_size=len(group))
            for place, vector in zip(group, normalised(vectors), strict=True):
                found[place] = vector
        return found

    def close(self) -> None:
        return


@cache
def _load_wordllama(settings: tuple[tuple[str, Any], ...]) -> Any:
    with _logging_as_it_is():
        package = importlib.import_module("wordllama")
    place = Path(str(package.__file__)).parent
    return package.WordLlama.load(cache_dir=place, disable_download=True, **dict(settings))


@contextmanager
def _logging_as_it_is() -> Generator[None]:
    """Undo what wordllama does to the program's logging when it is imported."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def _groups(texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield the places of texts of about one length that together are not too long."""
    group: list[int] = []
    for place in sorted(range(len(texts)), key=lambda place: len(texts[place])):
        if group and (len(group) + 1) * len(texts[place]) > _GROUP:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


@attrs.define(eq=False)
class _Callable:
    """Anybody's function from a list of texts to a list of vectors."""

    identity: str
    _function: Any
    by_words: bool = False

    @classmethod
    def load(cls, module: str, name: str) -> _Callable:
        try:
            function: Any = importlib.import_module(module)
            for part in name.split("."):
                function = getattr(function, part)
        except (ImportError, AttributeError):
            raise ConfigurationError(
                f"embedder {module}:{name} cannot be imported: name a callable that is installed"
            ) from None
        found = cls("", function)
        size = len(found.embed(["dimensions"])[0]) // 4
        found.identity = f"{module}:{name}:{getattr(function, 'version', None) or _version(module)}:{size}"
        return found

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        try:
            vectors = normalised(self._function(clipped(texts)))
        except Exception as error:  # anybody's code may raise anything
            raise StorageUnavailableError(
                f"the embedder did not embed ({type(error).__name__}): its texts wait"
            ) from None
        if len(vectors) != len(texts):
            raise StorageUnavailableError(f"the embedder returned {len(vectors)} vectors for {len(texts)} texts")
        return vectors

    def close(self) -> None:
        return


def _version(module: str) -> str:
    owners = packages_distributions().get(module.partition(".")[0], [])
    try:
        return version(owners[0]) if owners else "0"
    except PackageNotFoundError:
        return "0"
