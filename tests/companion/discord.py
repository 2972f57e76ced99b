"""A stand-in for the bot's network, written from its interface: channels with a history, messages with authors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)


@attrs.define(eq=False)
class User:
    id: int
    bot: bool = False

    @property
    def name(self) -> str:
        return f"user-{self.id}"

    display_name = name


@attrs.define(eq=False)
class Reference:
    message_id: int
    resolved: Any = None


@attrs.define(eq=False)
class Live:
    """A message as the network hands it over."""

    id: int
    content: str
    author: User
    channel: Place
    reference: Reference | None = None
    mentions: list[User] = attrs.field(factory=list)
    attachments: list[Any] = attrs.field(factory=list)
    embeds: list[Any] = attrs.field(factory=list)
    guild: Any = None
    webhook_id: int | None = None

    @property
    def created_at(self) -> datetime:
        return EPOCH + timedelta(seconds=self.id)


@attrs.define(eq=False)
class Attachment:
    url: str


@attrs.define(eq=False)
class Place:
    """A channel: it counts how often its history was asked for, can be slow, and can fail."""

    id: int
    said: list[Live] = attrs.field(factory=list)
    asked: int = 0
    failing: bool = False
    seconds: float = 0.0
    called: asyncio.Event = attrs.field(factory=asyncio.Event)

    def says(self, message_id: int, author: User, content: str | None = None, **more: Any) -> Live:
        message = Live(message_id, f"words {message_id}" if content is None else content, author, self, **more)
        self.said.append(message)
        return message

    async def history(self, limit: int) -> AsyncIterator[Live]:
        self.asked += 1
        self.called.set()
        await asyncio.sleep(self.seconds)
        if self.failing:
            raise ConnectionResetError("the network is away")
        for message in list(reversed(self.said))[:limit]:
            yield message


ANN, BEN, BOT = User(101), User(102), User(999, bot=True)
