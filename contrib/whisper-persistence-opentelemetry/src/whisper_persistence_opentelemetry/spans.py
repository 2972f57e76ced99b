"""One call on its way, as spans."""

from __future__ import annotations

import time
from contextvars import Token
from typing import Any

import attrs
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from whisper_persistence_opentelemetry import naming


@attrs.frozen(eq=False)
class Call:
    """A hook call that has begun.

    Attributes:
        hook: which hook.
        attributes: the database attributes of the driver that is asked.
        outermost: whether the program itself called, rather than a driver.
        dry_run: whether it only counts.
        began: when, by `time.perf_counter`.
    """

    hook: str
    attributes: dict[str, Any]
    outermost: bool
    dry_run: bool
    began: float
    _spans: tuple[Span, ...]
    _token: Token[Context]

    @classmethod
    def begin(cls, tracer: Tracer, hook: str, attributes: dict[str, Any], *, outermost: bool, dry_run: bool) -> Call:
        """Start the span of the driver, and around it that of the operation on the memory, if it is one."""
        spans: list[Span] = []
        within = context.get_current()
        operation = naming.memory_operation(hook) if outermost else None
        if operation:
            told = {"gen_ai.operation.name": operation, "gen_ai.memory.store.id": attributes["db.namespace"]}
            spans.append(tracer.start_span(f"{operation} {hook}", within, SpanKind.INTERNAL, told))
            within = trace.set_span_in_context(spans[0], within)
        spans.append(tracer.start_span(naming.tier_name(attributes), within, SpanKind.CLIENT, attributes))
        token = context.attach(trace.set_span_in_context(spans[-1], within))
        return cls(hook, attributes, outermost, dry_run, time.perf_counter(), tuple(spans), token)

    def end(self, error: BaseException | None, answer: Any) -> None:
        """End the spans, the innermost first."""
        context.detach(self._token)
        for span in reversed(self._spans):
            if span.is_recording():
                self._tell(span, error, answer)
            span.end()

    def _tell(self, span: Span, error: BaseException | None, answer: Any) -> None:
        if error is not None:
            span.set_attribute("error.type", naming.error_type(error))
            span.set_status(StatusCode.ERROR)
            return
        rows, safe = naming.returned(answer), naming.durabilities(answer)
        if rows is not None:
            span.set_attribute("db.response.returned_rows", rows)
        if safe:
            span.set_attribute("whisper_persistence.durability", sorted(safe))
