"""Which database is below, so that what one said is never shown as another's."""

from __future__ import annotations

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.hookspecs import Below
from whisper_persistence.records import State


def installation_of(below: Below) -> str | None:
    """Return what tells the database below from every other one.

    Returns:
        Its id; empty where it has none, as in memory, and ``None`` where no driver is below.

    Raises:
        StorageUnavailableError: it did not answer.
    """
    tiers = below.check_health()
    if tiers is None:
        return None
    names = [str(tier.details["installation"]) for tier in tiers if "installation" in tier.details]
    if not names and any(tier.state is not State.UP for tier in tiers):
        raise StorageUnavailableError("the database below did not say which one it is: it is asked again")
    return ":".join(names)
