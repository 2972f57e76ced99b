"""What an operator runs: importing, copying, and looking at what is kept about one user."""

from whisper_persistence.operations.checkpoints import Checkpoint
from whisper_persistence.operations.comparing import Comparison, Report
from whisper_persistence.operations.copying import copy_store
from whisper_persistence.operations.doctor import Diagnosis, diagnose
from whisper_persistence.operations.places import checkpoint_path, find_places, name_copy
from whisper_persistence.operations.profile import Profile, load_profile
from whisper_persistence.operations.transfer import Batch, import_file
from whisper_persistence.operations.whisperengine import import_whisperengine
from whisper_persistence.operations.whisperengine_rows import TableReport

__all__ = [
    "Batch",
    "Checkpoint",
    "Comparison",
    "Diagnosis",
    "Profile",
    "Report",
    "TableReport",
    "checkpoint_path",
    "copy_store",
    "diagnose",
    "find_places",
    "import_file",
    "import_whisperengine",
    "load_profile",
    "name_copy",
]
