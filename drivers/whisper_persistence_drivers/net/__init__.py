"""The net of the memory-fallback driver: what holds a bot's memory while the drivers below do not answer.

One room each: asking below under a deadline (`calls`, `in_flight`), what waits to be brought in (`entries`, `journal`,
`folder`, `backlog_storage`, `backlog`), who brings it in (`relay`), what was read (`memory`), and how these make an
answer together (`reading`, `settling`, `folds`, `windows`).
"""

from whisper_persistence_drivers.net.net import Net, NetOptions

__all__ = ["Net", "NetOptions"]
