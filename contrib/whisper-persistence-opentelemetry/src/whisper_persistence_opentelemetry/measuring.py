"""The metrics, and what is recorded of a call that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import attrs
from opentelemetry.metrics import Counter, Histogram, Meter
from opentelemetry.metrics import _Gauge as Gauge  # the API's public Meter.create_gauge answers one

from whisper_persistence.records import State, TierHealth
from whisper_persistence_opentelemetry import naming
from whisper_persistence_opentelemetry.spans import Call


@attrs.frozen(eq=False)
class Instruments:
    """Every metric that is recorded."""

    duration: Histogram
    rows: Histogram
    written: Counter
    removed: Counter
    up: Gauge
    detail: Gauge

    @classmethod
    def of(cls, meter: Meter) -> Instruments:
        """Return the instruments of a meter."""
        histogram, counter, gauge = meter.create_histogram, meter.create_counter, meter.create_gauge
        return cls(
            histogram(
                "db.client.operation.duration",
                "s",
                "How long a driver took",
                explicit_bucket_boundaries_advisory=naming.DURATION_BOUNDS,
            ),
            histogram("db.client.response.returned_rows", "{row}", "How many records a read answered with"),
            counter("whisper_persistence.written", "{item}", "Items written, by how safe they are"),
            counter("whisper_persistence.removed", "{record}", "Records erased or expired, in all tiers"),
            gauge("whisper_persistence.tier.up", "1", "1 for a tier that is up, 0.5 degraded, 0 down"),
            gauge("whisper_persistence.tier.detail", "1", "Numbers that a tier's health tells, by name"),
        )

    def record(self, call: Call, seconds: float, error: BaseException | None, answer: Any) -> None:
        """Record a call that has ended."""
        known = {name: value for name, value in call.attributes.items() if name != "db.operation.batch.size"}
        if error is not None:
            self.duration.record(seconds, {**known, "error.type": naming.error_type(error)})
            return
        self.duration.record(seconds, known)
        rows = naming.returned(answer)
        if rows is not None:
            self.rows.record(rows, known)
        if call.outermost:
            self._record_whole(call, answer)

    def _record_whole(self, call: Call, answer: Any) -> None:
        """Record what is counted once a call, not once a tier."""
        known = {"db.namespace": call.attributes["db.namespace"], "db.operation.name": call.hook}
        for durability, count in naming.durabilities(answer).items():
            self.written.add(count, {**known, "whisper_persistence.durability": durability})
        if naming.memory_operation(call.hook) == "delete_memory" and not call.dry_run:
            self.removed.add(naming.removed(answer), known)
        if call.hook == "check_health":
            self._record_health(call.attributes["db.namespace"], answer)

    def _record_health(self, namespace: str, answer: Any) -> None:
        levels = {State.UP: 1.0, State.DEGRADED: 0.5, State.DOWN: 0.0}
        for tier in cast("Sequence[TierHealth]", answer or ()):
            known = {"db.namespace": namespace, "whisper_persistence.driver": tier.tier}
            self.up.set(levels[tier.state], known)
            for name, value in tier.details.items():
                if type(value) in (int, float):
                    self.detail.set(value, {**known, "whisper_persistence.detail": name})
