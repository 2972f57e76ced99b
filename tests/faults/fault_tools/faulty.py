"""A driver over another that fails on command: as a server far away would, seen from the net."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import attrs

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.hookspecs import SUBJECTS, Below, LifecycleSpecs, hookimpl

#: The ways a call can go wrong; beside these a driver may break, lie or be stopped by Ctrl-C.
WAYS = ("fails", "hangs", "half-succeeds", "loses its reply")
_HOOKS = [
    name
    for specs in SUBJECTS.values()
    for spec in specs
    for name in vars(spec)
    if name.startswith(("save_", "load_", "update_")) and "vectors" not in name
]


@attrs.define(eq=False)
class Faulty(LifecycleSpecs):
    """Fails as it is told.

    Attributes:
        down: every call fails at once.
        chance: how often a call goes wrong, and ``rng`` says which.
        plan: told the number and hook of each call; answers the way in which it goes wrong, or ``None``.
        released: set to let calls that hang go on.
        calls: how many there were.
    """

    contract_version: ClassVar[int] = 1

    down: bool = False
    chance: float = 0.0
    rng: random.Random = attrs.field(factory=random.Random)
    plan: Callable[[int, str], str | None] = attrs.field(default=lambda number, hook: None)
    released: threading.Event = attrs.field(factory=threading.Event)
    calls: int = 0
    _below: Below = attrs.field(init=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        self._below = below
        self._check()

    @hookimpl
    def close(self) -> None:
        self.released.set()

    @hookimpl
    def check_health(self) -> Any:
        self._check()
        return self._below.check_health()

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> Any:
        return self.pass_on("erase_users", "user_ids", user_ids)

    def pass_on(self, hook: str, name: str, items: Sequence[Any]) -> Any:
        """Hand a call on, or let it go wrong."""
        self._check()
        self.calls += 1
        way = self.plan(self.calls, hook)
        if way is None and self.rng.random() < self.chance:
            way = self.rng.choice(("fails", "loses its reply"))
        ask = getattr(self._below, hook)
        if way == "fails":
            raise StorageUnavailableError("planted: failed")
        if way == "hangs":
            self.released.wait(30)
            return ask(**{name: items})
        if way == "breaks":
            raise RuntimeError("planted: a mistake in a driver")
        if way == "lies":
            return ["no receipt"]
        if way == "is stopped":
            raise KeyboardInterrupt
        if way == "half-succeeds":
            self._half(ask, name, items)
        answer = ask(**{name: items})
        if way == "loses its reply":
            raise StorageUnavailableError("planted: reply lost")
        return answer

    def _half(self, ask: Any, name: str, items: Sequence[Any]) -> None:
        """Do the first half of a batch, in a transaction of its own, and say that it failed."""
        if len(items) > 1:
            ask(**{name: items[: len(items) // 2]})
        raise StorageUnavailableError("planted: half done")

    def _check(self) -> None:
        if self.down:
            raise StorageUnavailableError("planted: down")


def _passing(hook: str) -> Any:
    spec: Any = next(vars(spec)[hook] for specs in SUBJECTS.values() for spec in specs if hook in vars(spec))
    name = spec.__code__.co_varnames[1]
    made: dict[str, Any] = {}
    exec(f"def {hook}(self, {name}):\n    return self.pass_on({hook!r}, {name!r}, {name})", made)  # noqa: S102
    return hookimpl(made[hook])


for _hook in _HOOKS:
    setattr(Faulty, _hook, _passing(_hook))
