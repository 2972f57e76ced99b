"""Chroma, as the child process uses it: one collection of ids, vectors and numbers to filter by, never a text."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.define(eq=False)
class Room:
    """What a child process holds: a collection, or an embedding function. Each method answers one call."""

    _client: Any = None
    _collection: Any = None
    _function: Any = None

    def reach(self, path: str | None, server: dict[str, Any] | None) -> None:
        """Get ready to use what a folder or a server has."""
        import chromadb
        from chromadb.config import Settings

        quiet = Settings(anonymized_telemetry=False)
        if server is not None:
            self._client = chromadb.HttpClient(**server, settings=quiet)
        else:
            self._client = chromadb.PersistentClient(str(path), settings=quiet)

    def open(self, name: str, path: str | None, server: dict[str, Any] | None, make: bool) -> int:
        """Open a collection in a folder or at a server, made if it is missing and wanted; return how much is in it."""
        self.reach(path, server)
        if make:
            space = {"hnsw": {"space": "ip"}}
            self._collection = self._client.get_or_create_collection(name, configuration=space, embedding_function=None)
        else:
            self._collection = self._client.get_collection(name, embedding_function=None)
        return self.count()

    def is_away(self, error: BaseException | None) -> bool:
        """Say whether an error came about because a server cannot be reached."""
        from httpx import TransportError

        return error is not None and (isinstance(error, TransportError) or self.is_away(error.__context__))

    def count(self) -> int:
        """Return how many vectors there are."""
        return int(self._collection.count())

    def upsert(self, ids: list[str], vectors: bytes, labels: list[dict[str, Any]]) -> None:
        """Put vectors, one id and one set of labels each."""
        self._collection.upsert(ids=ids, embeddings=_matrix(vectors, len(ids)), metadatas=labels)

    def delete(self, ids: list[str] | None, where: dict[str, Any] | None) -> None:
        """Remove vectors by id, or by their labels; unknown ids are nothing."""
        self._collection.delete(ids=ids, where=where)

    def labels(self, where: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the labels of those vectors that have some of them in common."""
        return list(self._collection.get(where=where, include=["metadatas"])["metadatas"])

    def load(self, ids: list[str]) -> dict[str, bytes]:
        """Return the vectors of those ids that are there."""
        found = self._collection.get(ids=ids, include=["embeddings"])
        return {item: _bytes(vector) for item, vector in zip(found["ids"], found["embeddings"], strict=True)}

    def query(self, vector: bytes, limit: int, where: dict[str, Any] | None) -> list[tuple[str, float, dict[str, Any]]]:
        """Return the nearest: id, inner product and labels."""
        found = self._collection.query(
            query_embeddings=_matrix(vector, 1), n_results=limit, where=where, include=["metadatas", "distances"]
        )
        rows = zip(found["ids"][0], found["distances"][0], found["metadatas"][0], strict=True)
        return [(item, 1.0 - float(distance), labels) for item, distance, labels in rows]

    def drop(self, name: str) -> None:
        """Remove a collection, if it is there."""
        if name in {collection.name for collection in self._client.list_collections()}:
            self._client.delete_collection(name)

    def embedder(self, function: str, options: dict[str, Any]) -> None:
        """Get one of Chroma's embedding functions ready, by the name that Chroma knows it by."""
        from chromadb.utils import embedding_functions

        known: dict[str, Any] = vars(embedding_functions)["known_embedding_functions"]
        self._function = known[function](**options)

    def embed(self, texts: list[str]) -> list[bytes]:
        """Return each text as a vector."""
        return [_bytes(vector) for vector in self._function(texts)]


def _matrix(vectors: bytes, rows: int) -> Any:
    import numpy as np

    return np.frombuffer(vectors, dtype="<f4").reshape(rows, -1)


def _bytes(vector: Any) -> bytes:
    import numpy as np

    return np.asarray(vector, dtype="<f4").tobytes()
