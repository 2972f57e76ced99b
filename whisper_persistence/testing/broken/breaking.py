"""What every broken driver is made of, and the list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar

import attrs

from whisper_persistence.hookspecs import CONTRACT_VERSION, Below, hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Durability, Receipt


@attrs.define(eq=False)
class Breaker:
    """A driver that asks the sound one below; its subclasses spoil one hook each.

    Attributes:
        world: what outlives this instance: the same for every store that is opened on one path.
        below: the sound driver.
        namespace: the store's.
    """

    world: dict[str, Any] = attrs.field(factory=dict[str, Any])
    below: Below = attrs.field(init=False)
    namespace: str = attrs.field(default="", init=False)
    contract_version: ClassVar[int] = CONTRACT_VERSION

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Remember what is below."""
        self.below, self.namespace = below, namespace

    def count(self, name: str) -> int:
        """Return how often this was asked, from 1 up."""
        self.world[name] = self.world.get(name, 0) + 1
        return int(self.world[name])


@attrs.frozen
class BrokenDriver:
    """One driver broken on purpose.

    Attributes:
        driver: its class; its docstring says what is wrong with it.
        caught_by: the name of the test in `DriverConformance` that is meant to catch it.
        needs: capabilities that the sound driver below must have.
    """

    driver: type[Breaker]
    caught_by: str
    needs: frozenset[str] = frozenset()


#: Every driver broken on purpose.
BROKEN_DRIVERS: Final[list[BrokenDriver]] = []

B = TypeVar("B", bound=type[Breaker])


def caught_by(test: str, *needs: str) -> Callable[[B], B]:
    """List a broken driver, with the test that is meant to catch it and what the sound driver must be able to do."""

    def enlist(driver: B) -> B:
        BROKEN_DRIVERS.append(BrokenDriver(driver, test, frozenset(needs)))
        return driver

    return enlist


def break_chain(broken: Breaker, sound: Mapping[str, object]) -> Chain:
    """Return a chain in which a broken driver stands above sound ones, built already."""
    return Chain.of({type(broken).__name__: broken, **sound})


def lie(sequence: int | None = None) -> Receipt:
    """Return the receipt of a write that did not happen."""
    return Receipt(Durability.DURABLE, 1, 0, sequence)
