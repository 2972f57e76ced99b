"""What search costs an append: ``python tests/benchmarks/search_cost.py [APPENDS]``.

Two SQLite files, one with search and one without, take appends in turns, at the pace of a busy bot; the figures are the
median, the 99th percentile and the ratio of the medians, and how far the index is behind at the end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Final

from rich.console import Console

from whisper_persistence import Message, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain

#: So long a busy bot pauses between two messages, in seconds.
PACE: Final = 0.002


def append(store: Store, number: int) -> float:
    """Append one message and return the milliseconds that it took."""
    words = f"the {number}th message speaks of mountain weather, bread and somebody's sister {number % 97}"
    message = Message(f"talk {number % 20}", f"user {number % 20}", "bot", words, "assistant")
    began = time.perf_counter()
    store.save_messages([message])
    return (time.perf_counter() - began) * 1e3


def main(appends: int) -> None:
    """Print the figures."""
    spent: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        stores = {
            search: Store(Chain.build([DriverSpec("sqlite", {"path": f"{folder}/{search}.db", "search": search})]))
            for search in spent
        }
        for number in range(appends):
            for search in ((False, True), (True, False))[number % 2]:
                spent[search].append(append(stores[search], number))
                time.sleep(PACE)
        behind = stores[True].check_health()[0].details["search_lag"]
        for store in stores.values():
            store.close()
    medians = {search: sorted(values)[appends // 2] for search, values in spent.items()}
    for search, values in spent.items():
        late = sorted(values)[appends * 99 // 100]
        Console().print(f"search {'on ' if search else 'off'}: p50 {medians[search]:.3f} ms, p99 {late:.3f} ms")
    Console().print(f"ratio {medians[True] / medians[False]:.2f}, {behind} messages behind")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
