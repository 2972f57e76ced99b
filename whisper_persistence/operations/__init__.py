"""What an operator runs: importing, and looking at what is kept about one user."""

from whisper_persistence.operations.profile import Profile, load_profile
from whisper_persistence.operations.transfer import Batch, import_file

__all__ = ["Batch", "Profile", "import_file", "load_profile"]
