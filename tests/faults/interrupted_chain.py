"""Erases a user from the whole server chain, and is killed at one step of it, in whatever thread that is.

A step is a function of ours, or of the drivers, that begins while an erase is on its way in that thread.

Arguments: the settings' file, and the step; 0 for none, and then the number of steps is printed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from whisper_persistence import Store, Window

ERASING = ("note_erasures", "erase_users", "settle_erasures")


def main() -> None:
    """Open the chain, look at what is cached, and erase alice."""
    wanted, steps, depths = int(sys.argv[2]), 0, threading.local()

    def count(frame: Any, event: str, _: Any) -> None:
        nonlocal steps
        if event not in ("call", "return") or "whisper_persistence" not in frame.f_code.co_filename:
            return
        depth = getattr(depths, "value", 0)
        if frame.f_code.co_name in ERASING:
            depths.value = depth + (1 if event == "call" else -1)
        if event == "call" and depth:
            steps += 1
            if steps == wanted:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    with Store.from_settings(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))) as store:
        store.load_messages([Window("talk of alice", 20)])
        store.load_strategies(["alice"])
        sys.setprofile(count)
        store.erase_users(["alice"])
        sys.setprofile(None)
    sys.stdout.write(f"{steps}\n")


if __name__ == "__main__":
    main()
