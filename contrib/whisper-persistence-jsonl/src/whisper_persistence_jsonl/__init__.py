"""Conversations in one JSON Lines file each."""

from whisper_persistence_jsonl.driver import JsonlDriver

__all__ = ["JsonlDriver"]
