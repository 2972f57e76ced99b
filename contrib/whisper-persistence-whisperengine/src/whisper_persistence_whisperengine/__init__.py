"""A memory for a running WhisperEngine, attached from outside."""

from whisper_persistence_whisperengine.attaching import attach
from whisper_persistence_whisperengine.persistence import Persistence

__all__ = ["Persistence", "attach"]
