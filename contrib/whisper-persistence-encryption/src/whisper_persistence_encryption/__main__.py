"""Print a new master key."""

from __future__ import annotations

import sys

from whisper_persistence_encryption.masters import new_master_key

sys.stdout.write(f"{new_master_key()}\n")
