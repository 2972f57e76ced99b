"""How a command ends that is asked to: by SIGTERM, as process managers and containers send it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NoReturn

#: What a shell calls the end by this signal.
_EXIT_CODE: Final = 128 + signal.SIGTERM


@contextmanager
def heeding_sigterm() -> Generator[None]:
    """Let SIGTERM end the command like an error, so that unfinished files are removed and the store is closed.

    Whoever has a handler of their own, or ignores the signal, is left alone, and so is a thread that cannot have one.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `timeout` sends it twice, and the second must not stop the clean-up
    raise SystemExit(_EXIT_CODE)
