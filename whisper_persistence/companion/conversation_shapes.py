"""Messages in the shapes that a bot knows: live objects, mappings of several caches, and what we hand back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final, cast, get_args

import attrs

from whisper_persistence.records import Message, fields
from whisper_persistence.records.conversations import Trust


class StoredMessage(dict[str, Any]):
    """A message that was kept, as a mapping and as an object: ``m["author_id"]`` is text, ``m.author.id`` a number.

    Keys are those of WhisperEngine's Redis cache, attributes those of a live message.
    """

    def __getattr__(self, name: str) -> Any:
        """Return what a live message has under this name."""
        view = _VIEWS.get(name)
        if view is None:
            raise AttributeError(f"a stored message has no attribute {name!r}")
        return view(self)


def _person(author_id: Any, name: str = "", *, bot: bool = False) -> SimpleNamespace:
    return SimpleNamespace(id=to_number(author_id), name=name, display_name=name, bot=bot)


def _place(given: Any) -> SimpleNamespace | None:
    return None if given is None else SimpleNamespace(id=to_number(given))


_VIEWS: Final[Mapping[str, Callable[[StoredMessage], Any]]] = {
    "id": lambda message: to_number(message["id"]),
    "content": lambda message: message["content"],
    "author": lambda message: _person(message["author_id"], message["author_name"], bot=message["bot"]),
    "created_at": lambda message: datetime.fromisoformat(message["timestamp"]),
    "channel": lambda message: _place(message["channel_id"]),
    "guild": lambda message: _place(message["guild_id"]),
    "attachments": lambda message: [SimpleNamespace(url=url) for url in message["attachments"]],
    "embeds": lambda message: [SimpleNamespace()] if message["embeds"] else [],
    "mentions": lambda message: [_person(mentioned) for mentioned in message["mentions"]],
    "reference": lambda message: (
        message["in_reply_to"] and SimpleNamespace(message_id=to_number(message["in_reply_to"]))
    ),
    "webhook_id": lambda _: None,
}


def to_number(given: Any) -> Any:
    """Return an id as the number that it is, where it is one."""
    text = str(given)
    return int(text) if text.isascii() and text.isdecimal() else given


def to_stored(message: Message) -> StoredMessage:
    """Return a record in the shape that a bot reads."""
    extra = message.extra
    return StoredMessage(
        id=message.message_id,
        content=message.content,
        author_id=message.author_id,
        author_name=message.author_name,
        user_id=message.user_id,
        timestamp=message.timestamp.isoformat(),
        channel_id=message.conversation_id,
        guild_id=extra.get("guild_id"),
        bot=message.role == "assistant",
        attachments=list(extra.get("attachments", ())),
        embeds=bool(extra.get("embeds")),
        mentions=list(extra.get("mentions", ())),
        in_reply_to=message.in_reply_to,
        source=message.source,
        trust=message.trust,
        from_cache=True,
    )


@attrs.frozen
class Facts:
    """What a bot's message says of itself, whatever its shape.

    Attributes:
        message_id: its id; made from its other facts where it has none.
        author_id, author_name, is_bot: who wrote it.
        content: the words.
        timestamp: when it was written.
        mentions: the ids of those it names.
        answers: the id of the message it refers to, and of that one's author, as far as it says.
        extra: attachments and the like.
        source, trust: what brought the words in, and how far they may be believed, where a mapping says so.
    """

    message_id: str
    author_id: str
    author_name: str
    is_bot: bool
    content: str
    timestamp: datetime
    mentions: tuple[str, ...] = ()
    answers: tuple[str | None, str | None] = (None, None)
    extra: dict[str, Any] = attrs.field(factory=dict[str, Any])
    source: str = ""
    trust: Trust = "unknown"


def read_facts(message: Any) -> Facts:
    """Return what a live message, or a mapping of any cache, says of itself."""
    found = _from_mapping(cast("Mapping[str, Any]", message)) if isinstance(message, Mapping) else _from_live(message)
    return found if found.message_id else attrs.evolve(found, message_id=_derived_id(found))


def looks_like_message(value: Any) -> bool:
    """Say whether something has an author and words."""
    if isinstance(value, Mapping):
        return "content" in value and bool({"author_id", "user_id"} & cast("Mapping[str, Any]", value).keys())
    return hasattr(value, "content") and hasattr(value, "author")


def _from_live(message: Any) -> Facts:
    author = message.author
    guild, reference = getattr(message, "guild", None), getattr(message, "reference", None)
    answered = getattr(getattr(getattr(reference, "resolved", None), "author", None), "id", None)
    mentions = tuple(str(mentioned.id) for mentioned in getattr(message, "mentions", None) or ())
    return Facts(
        _text(getattr(message, "id", None)),
        _text(author.id),
        str(getattr(author, "display_name", None) or getattr(author, "name", None) or ""),
        bool(getattr(author, "bot", False)),
        str(message.content or ""),
        _moment(getattr(message, "created_at", None)),
        mentions,
        (_text(getattr(reference, "message_id", None)) or None, _text(answered) or None),
        _extra(
            guild and guild.id,
            [attachment.url for attachment in getattr(message, "attachments", None) or ()],
            bool(getattr(message, "embeds", None)),
            mentions,
        ),
    )


def _from_mapping(message: Mapping[str, Any]) -> Facts:
    mentions = tuple(map(str, message.get("mentions") or ()))
    given = message.get("user_id") if message.get("bot", message.get("author_bot")) else None
    return Facts(
        _text(message.get("id", message.get("message_id"))),
        _text(message.get("author_id", message.get("user_id"))),
        str(message.get("author_name") or ""),
        bool(message.get("bot", message.get("author_bot", False))),
        str(message.get("content") or ""),
        _moment(message.get("timestamp")),
        mentions,
        (_text(message.get("in_reply_to")) or None, _text(given) or None),
        _extra(message.get("guild_id"), message.get("attachments") or (), bool(message.get("embeds")), mentions),
        _text(message.get("source")),
        next((level for level in get_args(Trust) if level == message.get("trust")), "unknown"),
    )


def _extra(guild_id: Any, attachments: Iterable[Any], embeds: bool, mentions: tuple[str, ...]) -> dict[str, Any]:
    found = {
        "guild_id": None if guild_id is None else str(guild_id),
        "attachments": [str(getattr(attachment, "url", attachment)) for attachment in attachments],
        "embeds": embeds,
        "mentions": list(mentions),
    }
    return {name: value for name, value in found.items() if value}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _moment(value: Any) -> datetime:
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return fields.now()
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _derived_id(facts: Facts) -> str:
    """Return an id that the same message has again, for shapes without one."""
    said = f"{facts.author_id}\0{facts.timestamp.isoformat()}\0{facts.content}".encode(errors="replace")
    return f"derived-{hashlib.blake2b(said, digest_size=16).hexdigest()}"
