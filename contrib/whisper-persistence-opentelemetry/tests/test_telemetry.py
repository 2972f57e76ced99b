"""Spans and metrics of real calls, and that no word and no id is in them."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from whisper_persistence_opentelemetry import naming

from whisper_persistence import BrokenDriverError, StorageUnavailableError, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import SPECS, hook_names
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message, Retention, Window
from whisper_persistence.settings import load_settings
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SECRETS = ("alice", "secret words", "talk-id", "message-id", "secret error")
DRIVER = "whisper_persistence.driver"
NAMES = ("update_memory save_messages", "save_messages conversations", "save_messages conversations")
MESSAGE = Message("talk-id", "alice", "alice", "secret words", message_id="message-id")

#: A driver that passes messages on, except for what it cannot bear; and a driver that is not one of ours.
LAYERS = """
from whisper_persistence import StorageUnavailableError
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import TierReport

class Layer:
    contract_version = 1
    @hookimpl
    def open(self, below, namespace):
        self.below = below
    @hookimpl
    def save_messages(self, messages):
        if any(message.content == "down" for message in messages):
            raise StorageUnavailableError("secret error")
        if any(message.content == "crash" for message in messages):
            raise RuntimeError("secret error")
        return self.below.save_messages(messages=messages)
    @hookimpl
    def expire(self, policies, dry_run):
        return (TierReport("layer", {"messages": 7}),)
"""


def called(span: ReadableSpan) -> str:
    """Return a span's name, with the driver that it is about, if it is about one."""
    return " ".join([span.name, *([f"{span.attributes[DRIVER]}"] if DRIVER in span.attributes else [])])


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    site = tmp_path / "site"
    (site / "layer-1.0.dist-info").mkdir(parents=True)
    (site / "layer_of_test.py").write_text(LAYERS, encoding="utf-8")
    (site / "layer-1.0.dist-info" / "METADATA").write_text("Name: layer\nVersion: 1.0\n", encoding="utf-8")
    entry = "[whisper_persistence.drivers]\nlayer = layer_of_test:Layer\n"
    (site / "layer-1.0.dist-info" / "entry_points.txt").write_text(entry, encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    return "layer"


class Watched:
    """A store that is watched, and what was told of it."""

    def __init__(self, path: Path, drivers: tuple[str, ...]) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self._meters = MeterProvider([self.reader], shutdown_on_exit=False)
        options = {"tracer_provider": tracers, "meter_provider": self._meters}
        specs = [DriverSpec(name, {"path": path / "memory.db"} if name == "sqlite" else {}) for name in drivers]
        self.store = Store(Chain.build(specs, [DriverSpec("opentelemetry", options)]), "elena")
        self.exporter.clear()

    def spans(self) -> dict[str, ReadableSpan]:
        """Return the spans by name, those of drivers with the driver's."""
        return {called(span): span for span in self.exporter.get_finished_spans()}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        data = self.reader.get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == name]
        return [(dict(point.attributes), point) for metric in found for point in metric.data.data_points]

    def everything(self) -> str:
        spans = "".join(span.to_json() for span in self.exporter.get_finished_spans())
        return spans + str(self.reader.get_metrics_data().to_json())

    def close(self) -> None:
        self.store.close()
        self._meters.shutdown()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def watch(*drivers: str) -> Watched:
        made.append(Watched(tmp_path, drivers))
        return made[-1]

    yield watch
    for each in made:
        each.close()


def test_a_call_is_an_operation_on_the_memory_with_a_span_for_each_tier_within(watched, layer):
    told = watched(layer, "sqlite")
    told.store.save_messages([MESSAGE, samples.message()])
    spans = told.spans()
    whole, upper, lower = (
        spans[n]
        for n in (
            "update_memory save_messages",
            "save_messages conversations layer",
            "save_messages conversations sqlite",
        )
    )

    assert len(spans) == 3
    assert lower.parent.span_id == upper.context.span_id
    assert upper.parent.span_id == whole.context.span_id
    assert whole.parent is None
    assert dict(whole.attributes) == {
        "gen_ai.operation.name": "update_memory",
        "gen_ai.memory.store.id": "elena",
        "whisper_persistence.durability": ("durable",),
    }
    assert dict(lower.attributes) == {
        "db.system.name": "sqlite",
        "db.operation.name": "save_messages",
        "db.namespace": "elena",
        "db.collection.name": "conversations",
        "db.operation.batch.size": 2,
        "whisper_persistence.driver": "sqlite",
        "whisper_persistence.durability": ("durable",),
    }
    assert (whole.kind, upper.kind, lower.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.CLIENT)
    assert lower.end_time <= upper.end_time <= whole.end_time
    assert (whole.name, upper.name, lower.name) == NAMES


def test_a_call_within_a_span_of_the_program_belongs_to_it(watched):
    told = watched("sqlite")
    tracer = told.store.chain._observers[0].tracer_provider.get_tracer("program")
    with tracer.start_as_current_span("a turn"):
        told.store.load_messages([Window("talk-id")])
    with tracer.start_as_current_span("another"):
        pass
    spans = told.spans()

    assert spans["search_memory load_messages"].parent.span_id == spans["a turn"].context.span_id
    assert spans["load_messages conversations sqlite"].attributes["db.response.returned_rows"] == 0
    assert spans["another"].parent is None


@pytest.mark.parametrize(
    ("content", "error", "name"),
    [("down", StorageUnavailableError, "StorageUnavailableError"), ("crash", BrokenDriverError, "BrokenDriverError")],
)
def test_an_error_is_told_by_its_class_alone(watched, layer, content, error, name):
    told = watched(layer, "sqlite")
    with pytest.raises(error):
        told.store.save_messages([samples.message(content=content)])
    span = told.spans()["save_messages conversations layer"]

    assert span.attributes["error.type"] == name
    assert span.status.status_code is StatusCode.ERROR
    assert "secret error" not in told.everything()
    failed = [known["error.type"] for known, _ in told.points("db.client.operation.duration") if "error.type" in known]
    assert failed == [name]


def test_no_word_and_no_id_is_told_of_any_hook(watched):
    told = watched("sqlite")
    store, claimed = told.store, SUBJECT_CAPABILITIES
    samples.fill(store, claimed, "alice", "talk-id")
    store.save_messages([MESSAGE])
    samples.read(store, claimed, "alice", "talk-id")
    store.scan("messages", None, 10)
    store.check_health()
    store.erase_users(["alice"])
    told_of = told.everything()

    assert "db.operation.name" in told_of
    assert [secret for secret in SECRETS if secret in told_of] == []
    assert samples.full_strategy().communication_style not in told_of


def test_metrics_count_tiers_items_and_removals(watched, layer):
    told = watched(layer, "sqlite")
    told.store.save_messages(samples.talk(5))
    told.store.load_messages([Window("talk")])
    told.store.erase_users(["alice"])
    told.store.check_health()
    durations = told.points("db.client.operation.duration")
    rows = told.points("db.client.response.returned_rows")

    saved = {
        known["whisper_persistence.driver"]: p.count for known, p in durations if "save" in known["db.operation.name"]
    }
    assert saved == {"layer": 1, "sqlite": 1}
    assert all(point.explicit_bounds == naming.DURATION_BOUNDS for _, point in durations)
    assert [point.sum for known, point in rows if known["db.operation.name"] == "load_messages"] == [5]
    ((known, written),) = told.points("whisper_persistence.written")
    assert (known["whisper_persistence.durability"], written.value) == ("durable", 5)
    ((_, removed),) = told.points("whisper_persistence.removed")
    assert removed.value == 5
    ((known, up),) = told.points("whisper_persistence.tier.up")
    assert (known["whisper_persistence.driver"], up.value) == ("sqlite", 1.0)
    assert told.points("whisper_persistence.tier.detail")


def test_calls_of_many_threads_stay_apart(watched, layer):
    told = watched(layer, "sqlite")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: told.store.save_messages([samples.message(f"talk {n}")]), range(80)))
    spans = told.exporter.get_finished_spans()
    by_id = {span.context.span_id: span for span in spans}

    assert len(spans) == 240
    lower = [span for span in spans if called(span) == "save_messages conversations sqlite"]
    assert {called(by_id[span.parent.span_id]) for span in lower} == {"save_messages conversations layer"}
    assert len({span.context.trace_id for span in spans}) == 80


def test_every_hook_has_a_name_and_a_closed_store_tells_no_more(watched):
    operations = {hook: naming.memory_operation(hook) for hook in hook_names(SPECS)}

    assert {hook for hook, name in operations.items() if name == "delete_memory"} == {"erase_users", "expire"}
    assert operations["search_messages"] == operations["load_outcomes"] == "search_memory"
    assert operations["update_preferences"] == operations["save_patterns"] == "update_memory"
    assert {operations[hook] for hook in ("scan", "load_pending", "check_health", "save_vectors", "embed")} == {None}
    told = watched("sqlite")
    store = told.store
    store.close()
    told.exporter.clear()
    with Store(Chain.build([DriverSpec("memory-fallback")])) as other:
        other.save_strategies([])
    assert told.exporter.get_finished_spans() == ()


def test_a_dry_run_removes_nothing(watched, layer):
    told = watched(layer, "memory-fallback")
    for dry_run in (True, False):
        told.store.expire([Retention("messages", max_per_thing=1)], dry_run)

    assert [point.value for _, point in told.points("whisper_persistence.removed")] == [7]


def test_without_an_sdk_nothing_is_recorded_and_everything_works(tmp_path, caplog):
    with (
        caplog.at_level(logging.DEBUG),
        Store(Chain.build([DriverSpec("memory-fallback")], [DriverSpec("opentelemetry")])) as store,
    ):
        store.save_messages([MESSAGE])

        assert len(store.load_messages([Window("talk-id")])) == 1
    assert not caplog.records


def test_the_snippet_of_the_readme_runs(tmp_path, monkeypatch):
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_PATH", str(tmp_path / "memory.db"))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert {"update_memory save_messages", "save_messages conversations"} <= set(done.stdout.splitlines())


def test_the_commands_of_the_readme_name_the_observer(monkeypatch):
    (block,) = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    install, setting = block.splitlines()
    name, _, value = setting.removeprefix("export ").partition("=")
    monkeypatch.setenv(name, value)

    assert install == f"pip install {metadata('whisper-persistence-opentelemetry')['Name']}"
    assert load_settings(url="memory://").observers == ("opentelemetry",)
    Store.from_settings(url="memory://").close()
