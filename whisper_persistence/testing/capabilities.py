"""What a driver may claim, and the sets that most drivers claim.

A driver's test class says ``capabilities = SQL_CAPABILITIES``, or one of these sets and more, or less, or its own.
"""

from __future__ import annotations

from typing import Final

#: What a driver may claim, and what the claim means. Each is tested both ways.
CAPABILITIES: Final[dict[str, str]] = {
    "strategies": "keeps strategies and outcomes",
    "statistics": "keeps statistics, scores, patterns and preferences",
    "conversations": "keeps messages",
    "revisions": "answers `load_revisions`",
    "followers": "registers followers and keeps their pending work",
    "leases": "lets one of several processes alone work off what a follower has not seen",
    "scan": "walks through every record it keeps",
    "erase": "forgets users",
    "expire": "removes what is too old or too many",
    "aggregate": "answers questions over many users about the subjects it keeps",
    "search": "finds messages by their words",
    "vectors": "keeps vectors beside messages",
    "embed": "turns texts into vectors",
    "replays": "keeps the rules of `whisper_persistence.origins`",
    "durable": "a store opened again on the same path has everything",
    "processes": "several processes may use one path at once",
}
#: The subjects, of which a driver keeps at least one.
SUBJECT_CAPABILITIES: Final = frozenset({"strategies", "statistics", "conversations"})
#: A store of record: keeps all three subjects and answers for them; it may lose them when it closes.
RECORD_CAPABILITIES: Final = SUBJECT_CAPABILITIES | {
    *("revisions", "followers", "leases", "scan", "erase", "expire", "aggregate")
}
#: A store of record in a database, as ``sqlite`` and ``postgres`` are with their default options.
SQL_CAPABILITIES: Final = RECORD_CAPABILITIES | {"vectors", "replays", "durable", "processes"}
