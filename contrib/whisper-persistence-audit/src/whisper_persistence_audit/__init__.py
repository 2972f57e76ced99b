"""One line for every write."""

from whisper_persistence_audit.observer import AuditObserver

__all__ = ["AuditObserver"]
