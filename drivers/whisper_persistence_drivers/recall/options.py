"""What the driver's options say, in the terms of its rooms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from whisper_persistence.hookspecs import Below
from whisper_persistence_drivers.recall import embedders
from whisper_persistence_drivers.recall.folder import Folder
from whisper_persistence_drivers.recall.index import Limits, Server, drop_builds
from whisper_persistence_drivers.recall.leased import LeasedFolder


@attrs.frozen
class Options:
    """The options of the driver; its docstring says what each means."""

    embedder: str
    embedder_options: Mapping[str, Any] = attrs.field(repr=False)
    url: str | None = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    index_from: int
    few: int
    search_timeout: float
    scan_timeout: float
    write_timeout: float
    patience: float
    audit_every: float
    lease: float

    def limits(self) -> Limits:
        """Return how long the index may take."""
        return Limits(self.search_timeout, self.write_timeout, 2 * self.write_timeout, self.patience)

    def server(self) -> Server | None:
        """Return the operator's server, if there is one."""
        return Server(self.url, dict(self.headers)) if self.url else None

    def folder(self, path: Path, namespace: str, below: Below, follower: str) -> Folder:
        """Return where the index of a namespace lies, and who keeps it: by a lock here, by a lease at a server."""
        local, server = Folder.of(path, namespace), self.server()
        if server is None:
            return local
        drop = partial(drop_builds, local.path, self.limits(), server)
        return LeasedFolder(local.path, below=below, follower=follower, seconds=self.lease, drop=drop)

    def make_embedder(self, folder: Path) -> embedders.Embedder:
        """Return the embedder that the options name, ready."""
        return embedders.make_embedder(self.embedder, self.embedder_options, folder, self.write_timeout)
