"""What marks a hook and its implementations, and the version of the contract."""

from __future__ import annotations

from typing import Final

import pluggy

#: The name of the pluggy project.
PROJECT: Final = "whisper_persistence"
#: The version of the contract. A driver declares the one it was written for as ``contract_version``.
CONTRACT_VERSION: Final = 1

hookspec: Final = pluggy.HookspecMarker(PROJECT)
hookimpl: Final = pluggy.HookimplMarker(PROJECT)
