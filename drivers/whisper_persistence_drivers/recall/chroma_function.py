"""Chroma's own embedding functions as embedders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import attrs

from whisper_persistence.errors import ConfigurationError, StorageUnavailableError
from whisper_persistence_drivers.recall.embedding import clipped, normalised
from whisper_persistence_drivers.recall.process import ChildProcess, RefusedError

#: What an embedding function raises that can never be had as it is named: unknown, without its package or its key, or
#: called with options that it does not have.
_HOPELESS: Final = {"AttributeError", "ImportError", "KeyError", "ModuleNotFoundError", "TypeError", "ValueError"}


@attrs.define(eq=False)
class ChromaFunction:
    """One of Chroma's embedding functions, in a child process of its own; some ask a network or fetch a model."""

    identity: str
    _name: str
    _options: Mapping[str, Any] = attrs.field(repr=False)
    _folder: Path
    _timeout: float
    by_words: bool = False
    _child: ChildProcess | None = None

    @classmethod
    def start(cls, name: str, options: Mapping[str, Any], folder: Path, timeout: float) -> ChromaFunction:
        """Return the function that Chroma knows by a name, ready.

        Raises:
            ConfigurationError: it can never be had as it is named.
            StorageUnavailableError: it did not answer.
        """
        found = cls("", name, options, folder, timeout)
        try:
            found._ready()
            size = len(found.embed(["dimensions"])[0]) // 4
        except RefusedError as error:
            found.close()
            raise _refusal(name, error) from None
        except BaseException:
            found.close()
            raise
        model = options.get("model_name") or options.get("model") or "default"
        found.identity = f"chroma:{name}:{model}:{version('chromadb')}:{size}"
        return found

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Return each text as a vector, by the child process."""
        import numpy as np

        try:
            vectors = self._ready().call("embed", self._timeout, texts=clipped(texts))
        except RefusedError as error:
            raise StorageUnavailableError(f"embedder chroma:{self._name} did not embed ({error.kind})") from None
        except StorageUnavailableError as error:
            raise StorageUnavailableError(f"embedder chroma:{self._name} did not answer: {error}") from None
        return normalised([np.frombuffer(vector, dtype="<f4") for vector in vectors])

    def _ready(self) -> ChildProcess:
        if self._child is None or not self._child.watch():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._child = ChildProcess.start(self._folder, self._timeout)
            try:
                self._child.call("embedder", self._timeout, function=self._name, options=dict(self._options))
            except RefusedError:
                self._child.kill()  # it would be asked to embed without a function
                raise
        return self._child

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            self._child.close(1.0)


def _refusal(name: str, error: RefusedError) -> ConfigurationError | StorageUnavailableError:
    """Return what a function's refusal to begin means: for good, or for now."""
    problem = f"embedder chroma:{name} cannot be made ({error.kind})"
    if error.kind not in _HOPELESS:
        return StorageUnavailableError(f"{problem}: it is tried again")
    return ConfigurationError(
        f"{problem}: name one that chromadb knows, whose package is installed and whose key is set, "
        "and give it the embedder_options that it needs"
    )
