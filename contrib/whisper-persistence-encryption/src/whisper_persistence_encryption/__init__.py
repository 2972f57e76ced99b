"""Records sealed before they are stored."""

from whisper_persistence_encryption.driver import EncryptionDriver
from whisper_persistence_encryption.masters import KeyService, new_master_key
from whisper_persistence_encryption.sealing import UnreadableError

__all__ = ["EncryptionDriver", "KeyService", "UnreadableError", "new_master_key"]
