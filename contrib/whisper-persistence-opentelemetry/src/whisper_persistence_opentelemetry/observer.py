"""The observer: one span for each public call, and within it one for each driver that it passes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, ClassVar, Final

import attrs
import pluggy
from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from whisper_persistence.hookspecs import Below, hookimpl
from whisper_persistence_opentelemetry import naming
from whisper_persistence_opentelemetry.measuring import Instruments
from whisper_persistence_opentelemetry.spans import Call

_log = logging.getLogger(__name__)
_NAME: Final = "whisper_persistence_opentelemetry"
_UNWATCHED: Final = frozenset({"open", "close"})


@attrs.define(eq=False)
class TelemetryObserver:
    """Tells OpenTelemetry of every call, tier by tier, through whatever SDK the program has set.

    Attributes:
        tracer_provider, meter_provider: for programs that keep their own; by default the global ones.
    """

    contract_version: ClassVar[int] = 1
    local: ClassVar[bool] = True

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    _tracer: trace.Tracer = attrs.field(init=False, repr=False)
    _instruments: Instruments = attrs.field(init=False, repr=False)
    _namespace: str = attrs.field(init=False, repr=False)
    _end: Callable[[], None] | None = attrs.field(init=False, default=None, repr=False)
    _calls: threading.local = attrs.field(init=False, factory=threading.local, repr=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Begin to watch."""
        release = version("whisper-persistence-opentelemetry")
        self._tracer = trace.get_tracer(_NAME, release, self.tracer_provider)
        self._instruments = Instruments.of(metrics.get_meter(_NAME, release, self.meter_provider))
        self._namespace = namespace
        self._end = below.monitor(self._before, self._after)

    @hookimpl
    def close(self) -> None:
        """Watch no longer."""
        if self._end is not None:
            self._end()

    def _before(self, hook: str, impls: Sequence[pluggy.HookImpl], arguments: Mapping[str, Any]) -> None:
        driver = next((impl.plugin_name for impl in reversed(impls) if not impl.wrapper and not impl.hookwrapper), None)
        if hook in _UNWATCHED or driver is None:
            self._stack().append(None)
            return
        outermost = not any(self._stack())
        attributes = naming.tier_attributes(hook, driver, self._namespace, arguments)
        dry_run = bool(arguments.get("dry_run"))
        self._stack().append(Call.begin(self._tracer, hook, attributes, outermost=outermost, dry_run=dry_run))

    def _after(
        self, outcome: pluggy.Result[Any], hook: str, impls: Sequence[pluggy.HookImpl], arguments: Mapping[str, Any]
    ) -> None:
        call = self._stack().pop()
        if call is None:
            return
        error = outcome.exception
        answer = None if error else outcome.get_result()
        seconds = time.perf_counter() - call.began
        call.end(error, answer)
        self._instruments.record(call, seconds, error, answer)

    def _stack(self) -> list[Call | None]:
        stack: list[Call | None] | None = getattr(self._calls, "stack", None)
        if stack is None:
            stack = self._calls.stack = []
        return stack
