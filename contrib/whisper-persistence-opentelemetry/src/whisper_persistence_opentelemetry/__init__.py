"""OpenTelemetry spans and metrics."""

from whisper_persistence_opentelemetry.observer import TelemetryObserver

__all__ = ["TelemetryObserver"]
