"""google-adk: session services, one event a message."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data import LAST, Turn
from google.adk.events import Event
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai.types import Content, Part

_APP = "bench"


class Sessions:
    """`SqliteSessionService`; a session is kept, as a runner keeps it through a talk."""

    def __init__(self, path: Path) -> None:
        self._service: Any = SqliteSessionService(str(path))
        self._kept: dict[str, Any] = {}

    async def append(self, turn: Turn) -> None:
        session = self._kept.get(turn.conversation)
        if session is None:
            given = {"app_name": _APP, "user_id": turn.user, "session_id": turn.conversation}
            session = await self._service.get_session(**given) or await self._service.create_session(**given)
            self._kept[turn.conversation] = session
        for author, text in ((turn.user, turn.question), ("bot", turn.answer)):
            content = Content(role="user" if author == turn.user else "model", parts=[Part(text=text)])
            await self._service.append_event(session, Event(author=author, content=content))
        session.events.clear()

    async def last(self, conversation: str) -> Any:
        config = GetSessionConfig(num_recent_events=LAST)
        session = await self._service.get_session(
            app_name=_APP, user_id=conversation, session_id=conversation, config=config
        )
        return session.events

    async def fill(self, turns: Iterable[Turn]) -> None:
        for turn in turns:
            await self.append(turn)

    async def close(self) -> None:
        """Nothing: it opens a connection for every call."""
