"""The order of the settings is selection, override, layering and fallback."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import AsyncStore, Durability, Message, PreferencesChange, Receipt, Store, hookimpl
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.errors import BrokenDriverError, ConfigurationError, NotSupportedError, StoreClosedError
from whisper_persistence.hookspecs import ConversationSpecs
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

RECEIPT = Receipt(Durability.VOLATILE, 1)
LAYERS = """
    from whisper_persistence.hookspecs import hookimpl
    from whisper_persistence.records import State, Strategy, TierHealth

    calls = []


    class Layer:
        contract_version = 1
        limit = 7
        fails = ""
        label = "layer"

        @hookimpl
        def open(self, below, namespace):
            self.below = below
            calls.append(f"open {self.label}")
            if self.fails == "open":
                raise RuntimeError("no disk")

        @hookimpl
        def close(self):
            calls.append(f"close {self.label}")
            if self.fails == "close":
                raise RuntimeError("no way out")

        @hookimpl
        def check_health(self):
            return (TierHealth(self.label, State.UP), *(self.below.check_health() or ()))


    class Owner(Layer):
        label = "owner"

        @hookimpl
        def load_strategies(self, user_ids):
            calls.append("load owner")
            return {user_id: Strategy(user_id, "owned") for user_id in user_ids}


    class Bystander(Layer):
        label = "bystander"
        limit = 3

        @hookimpl
        def load_strategies(self, user_ids):
            calls.append("load bystander")
            return None


    class Splitter(Layer):
        label = "splitter"

        @hookimpl
        def load_strategies(self, user_ids):
            calls.append("load splitter")
            found = [self.below.load_strategies(user_ids=[user_id]) for user_id in user_ids]
            return None if None in found else {key: value for part in found for key, value in part.items()}

        @hookimpl
        def save_messages(self, messages):
            return self.below.save_messages(messages=messages)


    class FailsToOpen(Layer):
        label = "stuck"
        fails = "open"


    class FailsToClose(Layer):
        label = "jammed"
        fails = "close"


    class Watcher(Layer):
        label = "watcher"

        @hookimpl(wrapper=True)
        def load_strategies(self, user_ids):
            calls.append(f"{self.label} before")
            answer = yield
            calls.append(f"{self.label} after")
            return answer

        check_health = None


    class SecondWatcher(Watcher):
        label = "second"


    class Misspelt(Layer):
        @hookimpl
        def load_strategy(self, user_ids):
            return {}


    class Mistaken(Layer):
        @hookimpl
        def load_strategies(self, users):
            return {}
"""
NAMES = {
    "layer": "Layer",
    "owner": "Owner",
    "bystander": "Bystander",
    "splitter": "Splitter",
    "stuck": "FailsToOpen",
    "jammed": "FailsToClose",
    "watcher": "Watcher",
    "second": "SecondWatcher",
    "misspelt": "Misspelt",
    "mistaken": "Mistaken",
}


@pytest.fixture
def layers(site) -> ModuleType:
    site.write("layers", LAYERS)
    site.install("layers", {name: f"layers:{target}" for name, target in NAMES.items()})
    return importlib.import_module("layers")


def chain_of(*names: str, observers: tuple[str, ...] = ()) -> Chain:
    return Chain.build([DriverSpec(name) for name in names], [DriverSpec(name) for name in observers])


def test_the_first_driver_that_answers_is_the_last_one_asked(layers):
    with Store(chain_of("owner", "bystander")) as store:
        found = store.load_strategies(["alice"])

    assert found["alice"].strategy_id == "owned"
    assert [call for call in layers.calls if call.startswith("load")] == ["load owner"]


def test_none_means_ask_the_next(layers):
    with Store(chain_of("bystander", "owner")) as store:
        store.load_strategies(["alice"])

    assert [call for call in layers.calls if call.startswith("load")] == ["load bystander", "load owner"]


def test_a_layer_may_split_a_batch_before_it_asks_below(layers):
    with Store(chain_of("splitter", "owner")) as store:
        found = store.load_strategies(["alice", "bob"])

    assert sorted(found) == ["alice", "bob"]
    assert layers.calls.count("load owner") == 2


def test_below_holds_only_the_drivers_listed_after(layers):
    with Store(chain_of("owner", "splitter", "bystander")) as store:
        splitter = store.chain.drivers["splitter"]

        assert splitter.below.load_strategies(user_ids=["alice"]) is None
        assert "load owner" not in layers.calls


def test_below_answers_none_for_a_hook_that_nobody_has(layers):
    with Store(chain_of("layer")) as store:
        assert store.chain.drivers["layer"].below.check_health() is None


def test_a_write_that_nobody_keeps_raises(layers):
    with Store(chain_of("splitter")) as store, pytest.raises(NotSupportedError, match="save_messages"):
        store.save_messages([])


def test_every_layer_adds_its_health_in_order(layers):
    with Store(chain_of("splitter", "bystander", "owner")) as store:
        tiers = [health.tier for health in store.check_health()]

    assert tiers == ["splitter", "bystander", "owner"]


def test_opened_from_the_bottom_up_and_closed_from_the_top_down(layers):
    Store(chain_of("splitter", "owner", observers=("watcher",))).close()

    assert layers.calls == [
        "open owner",
        "open splitter",
        "open watcher",
        "close watcher",
        "close splitter",
        "close owner",
    ]


def test_what_was_opened_is_closed_when_another_does_not_open(layers):
    with pytest.raises(BrokenDriverError, match=r"driver 'stuck' let RuntimeError escape \(.*\) in open"):
        Store(chain_of("splitter", "stuck", "owner"))

    assert layers.calls == ["open owner", "open stuck", "close stuck", "close owner"]


def test_one_that_does_not_close_does_not_keep_the_others_open(layers):
    store = Store(chain_of("splitter", "jammed", "owner"))

    with pytest.raises(BrokenDriverError, match=r"driver 'jammed' let RuntimeError escape \(.*\) in close"):
        store.close()

    assert layers.calls[-3:] == ["close splitter", "close jammed", "close owner"]


def test_closing_twice_is_closing_once_and_then_nothing_is_answered(layers):
    store = Store(chain_of("owner"))
    store.close()
    store.close()

    assert layers.calls.count("close owner") == 1
    with pytest.raises(StoreClosedError):
        store.load_strategies(["alice"])


def test_observers_see_each_call_once_outside_all_drivers(layers):
    with Store(chain_of("splitter", "owner", observers=("watcher", "second"))) as store:
        store.load_strategies(["alice", "bob"])

    seen = [call for call in layers.calls if "open" not in call and "close" not in call]
    assert seen == [
        "watcher before",
        "second before",
        "load splitter",
        "load owner",
        "load owner",
        "second after",
        "watcher after",
    ]


def test_an_observer_does_not_answer_for_the_chain(layers):
    with Store(chain_of("layer", observers=("watcher",))) as store, pytest.raises(NotSupportedError):
        store.load_strategies(["alice"])


def test_a_driver_restricted_to_other_subjects_is_not_asked(layers):
    chain = Chain.build([DriverSpec("owner", subjects=frozenset({"conversations"})), DriverSpec("bystander")])

    with Store(chain) as store, pytest.raises(NotSupportedError):
        store.load_strategies(["alice"])
    assert "load owner" not in layers.calls


def test_a_restricted_driver_still_opens_closes_and_reports(layers):
    chain = Chain.build([DriverSpec("owner", subjects=frozenset())])

    with Store(chain) as store:
        assert [health.tier for health in store.check_health()] == ["owner"]
    assert layers.calls == ["open owner", "close owner"]


def test_a_restricted_driver_leaves_a_scan_for_other_kinds_to_the_next(site, tmp_path):
    site.write(
        "talk",
        """
        from typing import ClassVar
        from whisper_persistence_drivers.sqlite import SqliteDriver

        class Talk(SqliteDriver):
            contract_version: ClassVar[int] = 1
        """,
    )
    site.install("talk", {"talk": "talk:Talk"})
    talk = DriverSpec("talk", {"path": tmp_path / "talk.db"}, frozenset({"conversations"}))
    chain = Chain.build([talk, DriverSpec("sqlite", {"path": tmp_path / "rest.db"})])
    with Store(chain) as store:
        store.save_messages([Message("channel", "alice", "alice", "hello")])
        store.update_preferences([PreferencesChange("alice", {"music": True})])

        assert [message.user_id for message in store.scan("messages", None, 10).records] == ["alice"]
        assert [record.values for record in store.scan("preferences", None, 10).records] == [{"music": True}]


def test_an_unknown_subject_lists_the_known_ones(layers):
    with pytest.raises(ConfigurationError, match=r"driver 'owner': unknown subject 'weather' \(known: strategies, "):
        Chain.build([DriverSpec("owner", subjects=frozenset({"weather"}))])


@pytest.mark.parametrize(
    ("drivers", "observers", "message"),
    [
        ((), (), r"no driver is named"),
        (("owner", "layer", "owner"), (), r"driver 'owner' is named twice"),
        (("owner",), ("owner",), r"driver 'owner' is named twice"),
        (("misspelt",), (), r"driver 'misspelt' implements an unknown hook 'load_strategy': correct"),
        (("watcher", "owner"), (), r"'watcher' wraps load_strategies: name it in observers"),
        (("layer",), ("owner",), r"'owner' answers \w+: name it in drivers"),
    ],
)
@pytest.mark.usefixtures("layers")
def test_a_chain_that_cannot_be_is_refused(drivers, observers, message):
    with pytest.raises(ConfigurationError, match=message):
        chain_of(*drivers, observers=observers)


@pytest.mark.parametrize(
    "drivers",
    [
        {"sqlite": SqliteDriver("memory.db"), "memory-fallback": MemoryFallbackDriver()},
        {
            "sqlite": SqliteDriver("memory.db"),
            "memory-fallback": MemoryFallbackDriver(),
            "postgres": PostgresDriver(),
        },
    ],
)
def test_a_net_below_what_keeps_everything_is_refused(drivers):
    with pytest.raises(ConfigurationError, match=r"'memory-fallback' is listed after 'sqlite', .*: list it before"):
        Chain.of(drivers)


def test_a_net_below_what_keeps_a_part_is_asked_for_the_rest(tmp_path):
    talk = DriverSpec("sqlite", {"path": tmp_path / "talk.db"}, frozenset({"conversations"}))
    with Store(Chain.build([talk, DriverSpec("memory-fallback")])) as store:
        said = store.save_messages([Message("channel", "alice", "alice", "hello")])
        learned = store.update_preferences([PreferencesChange("alice", {"music": True})])

    assert [said[0].durability, learned[0].durability] == [Durability.DURABLE, Durability.VOLATILE]


@pytest.mark.usefixtures("layers")
def test_a_hook_with_other_arguments_is_refused_as_an_error_of_ours():
    with pytest.raises(ConfigurationError, match="mistaken"):
        chain_of("mistaken")


@pytest.mark.parametrize("face", [Store, AsyncStore])
def test_a_store_of_a_url_says_how_it_is_opened(face):
    with pytest.raises(ConfigurationError, match=r"not a str: use from_settings\(url=\.\.\.\)"):
        face("sqlite:///memory.db")


@pytest.mark.usefixtures("layers")
def test_below_is_asked_with_named_arguments():
    with Store(chain_of("layer", "owner")) as store:
        below = store.chain.starting_at("owner")

        with pytest.raises(BrokenDriverError, match="load_strategies below without naming its arguments"):
            below.load_strategies(["alice"])


def test_a_method_that_nobody_would_ask_is_refused():
    class Forgetful(ConversationSpecs):
        def save_messages(self, messages):
            return None

    with pytest.raises(ConfigurationError, match=r"Forgetful\.save_messages would never be asked: mark it"):
        Chain.of({"forgetful": Forgetful()})


@pytest.mark.usefixtures("layers")
def test_the_smallest_declared_limit_counts():
    chain = chain_of("owner", "bystander")

    assert chain.limit("limit") == 3
    assert chain.limit("no_such_limit") is None


@pytest.mark.parametrize("answer", [[], [RECEIPT], [RECEIPT] * 3, (receipt for receipt in [RECEIPT] * 2), True])
def test_a_write_that_is_not_answered_with_one_receipt_an_item_is_refused(answer):
    class Careless:
        contract_version = 1

        @hookimpl
        def save_messages(self, messages: Sequence[Message]) -> Any:
            return answer

    async def write() -> None:
        async with AsyncStore(Chain.of({"careless": Careless()})) as store:
            await store.save_messages(samples.talk(2))

    with (
        Store(Chain.of({"careless": Careless()})) as store,
        pytest.raises(BrokenDriverError, match="'careless' answered"),
    ):
        store.save_messages(samples.talk(2))
    with pytest.raises(BrokenDriverError, match="'careless' answered"):
        asyncio.run(write())


class Watching:
    """A layer that passes strategies on, and listens to what the chain is asked."""

    contract_version = 1

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []

    @hookimpl
    def open(self, below: Any, namespace: str) -> None:
        self.below = below
        self.end = below.monitor(self._before, self._after)

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Any:
        return self.below.load_strategies(user_ids=user_ids)

    def _before(self, hook: str, impls: Sequence[Any], arguments: Any) -> None:
        self.heard += [("before", hook, impl.plugin_name, *arguments.get("user_ids", ())) for impl in impls[-1:]]

    def _after(self, outcome: Any, hook: str, impls: Sequence[Any], arguments: Any) -> None:
        self.heard += [("after", hook, impl.plugin_name, *(outcome.get_result() or ())) for impl in impls[-1:]]


class Keeping:
    contract_version = 1

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Any:
        return dict.fromkeys(user_ids)


def test_a_monitor_hears_every_tier_by_name_until_it_ends():
    watching = Watching()
    with Store(Chain.of({"upper": watching, "lower": Keeping()})) as store:
        watching.heard.clear()
        store.load_strategies(["alice"])
        watching.end()
        store.load_strategies(["bob"])

    assert watching.heard == [
        ("before", "load_strategies", "upper", "alice"),
        ("before", "load_strategies", "lower", "alice"),
        ("after", "load_strategies", "lower", "alice"),
        ("after", "load_strategies", "upper", "alice"),
    ]
