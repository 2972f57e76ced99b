"""Every observer by itself: it sees calls pass, and nothing that it does reaches them.

What an observer raises or returns is left aside. It has `PATIENCE` to look at a call before and after it, on a thread
of its own, unless it says ``local = True``: that it waits for nothing but this machine. After three mistakes in a row,
of which too long a look is one, it is dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from typing import Any, Final

import attrs

from whisper_persistence.guarding import FAILURES, Watched, is_wish, let_escape

#: How long an observer that is not local may take before a call, and again after it, in seconds.
PATIENCE: Final = 1.0

Steps = Generator[None, Any, Any]


@attrs.define(eq=False)
class Watcher:
    """Lets one observer look at calls.

    Attributes:
        watched: how it fares.
        local: whether it is trusted to look on the caller's own thread.
        misses: how many mistakes it made in a row.
    """

    watched: Watched
    local: bool
    misses: int = 0

    def look(self, hook: str, step: Callable[..., Any], *arguments: Any, context: Context | None = None) -> bool:
        """Have it take a step, and say whether it took it as it must.

        Args:
            hook: of which hook.
            step: what to call; it answers with what is wrong, or ``None``.
            *arguments: what with.
            context: where contextvars are, for a thread of its own.
        """
        try:
            problem = step(*arguments) if context is None else _in_time(context, step, *arguments)
        except BaseException as error:
            if is_wish(error):
                raise
            problem = let_escape(error)
        if problem is None:
            return True
        self.watched.mistake(hook, problem)
        self.misses += 1
        if self.misses >= FAILURES:
            self.watched.leave_out(hook, _unseen)
        return False

    def telling(self, moment: str, function: Callable[..., None]) -> Callable[..., None]:
        """Return a function that tells another of calls, until that made too many mistakes or its plugin is left out.

        Args:
            moment: which function it is, for reports.
            function: what to call.
        """

        def tell(*arguments: Any) -> None:
            if not self.watched.left_out and self.look(moment, _tell, function, arguments):
                self.misses = 0

        return tell


def observed(watcher: Watcher, hook: str, function: Callable[..., Steps]) -> Callable[..., Steps]:
    """Return an observer's wrapper of a hook that cannot change what passes through it."""

    def call(*arguments: Any) -> Steps:
        context = None if watcher.local else copy_context()
        begun: list[Steps] = []
        sees = watcher.look(hook, _begin, function, arguments, begun, context=context)
        try:
            answer = yield
        except BaseException as error:
            if sees and watcher.look(hook, _fail, begun[0], error, context=context):
                watcher.misses = 0
            raise
        if sees and watcher.look(hook, _end, begun[0], answer, context=context):
            watcher.misses = 0
        return answer

    call.__name__ = hook
    return call


def _tell(function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    function(*arguments)


def _begin(function: Callable[..., Steps], arguments: tuple[Any, ...], begun: list[Steps]) -> str | None:
    steps = function(*arguments)
    try:
        next(steps)
    except StopIteration:
        return "did not yield"
    begun.append(steps)
    return None


def _end(steps: Steps, answer: Any) -> str | None:
    try:
        steps.send(answer)
    except StopIteration as stop:
        return None if stop.value is answer else "returned something else than it was sent"
    steps.close()
    return "yielded twice"


def _fail(steps: Steps, error: BaseException) -> str | None:
    try:
        steps.throw(error)
    except StopIteration:
        return "answered for a call that failed"
    except BaseException as raised:
        if raised is error:
            return None
        raise
    steps.close()
    return "yielded twice"


def _in_time(context: Context, step: Callable[..., Any], *arguments: Any) -> str | None:
    """Take a step on a thread of its own; one that takes too long is left behind."""
    done = threading.Event()
    outcome: list[str | BaseException | None] = []

    def work() -> None:
        try:
            outcome.append(context.run(step, *arguments))
        except BaseException as error:
            outcome.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="whisper-persistence-observer", daemon=True).start()
    if not done.wait(PATIENCE):
        return f"took longer than {PATIENCE:g} s"
    (problem,) = outcome
    if isinstance(problem, BaseException):
        raise problem
    return problem


def _unseen(*_: Any) -> Steps:
    """Let a call pass unseen."""
    return (yield)
