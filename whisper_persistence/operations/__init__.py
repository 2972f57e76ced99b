"""What an operator runs: importing, copying, erasing, and looking at what is kept about one user."""

from whisper_persistence.operations.backups import Backup, back_up, inspect_schemas, restore
from whisper_persistence.operations.checkpoints import Checkpoint
from whisper_persistence.operations.comparing import Comparison, Report
from whisper_persistence.operations.copying import copy_store
from whisper_persistence.operations.erasure import ErasureReceipt, erase_again, erase_users
from whisper_persistence.operations.places import checkpoint_path, find_places, name_copy
from whisper_persistence.operations.profile import Profile, load_profile
from whisper_persistence.operations.transfer import Batch, import_file
from whisper_persistence.operations.verifying import TierCheck
from whisper_persistence.operations.whisperengine import import_whisperengine
from whisper_persistence.operations.whisperengine_rows import TableReport

__all__ = [
    "Backup",
    "Batch",
    "Checkpoint",
    "Comparison",
    "ErasureReceipt",
    "Profile",
    "Report",
    "TableReport",
    "TierCheck",
    "back_up",
    "checkpoint_path",
    "copy_store",
    "erase_again",
    "erase_users",
    "find_places",
    "import_file",
    "import_whisperengine",
    "inspect_schemas",
    "load_profile",
    "name_copy",
    "restore",
]
