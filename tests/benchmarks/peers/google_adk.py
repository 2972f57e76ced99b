"""google-adk: session services, one event a message; records are a user's state, which events change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data import LAST, Turn
from google.adk.events import Event, EventActions
from google.adk.sessions import DatabaseSessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai.types import Content, Part

from peers.values import Value, Values

_APP = "bench"


class Sessions(Values):
    """A service; a session is kept, as a runner keeps it through a talk."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self._kept: dict[str, Any] = {}

    @classmethod
    def on_sqlite(cls, path: Path) -> Sessions:
        return cls(SqliteSessionService(str(path)))

    @classmethod
    def on_postgres(cls, url: str) -> Sessions:
        return cls(DatabaseSessionService(url))

    async def append(self, turn: Turn) -> None:
        session = await self._session(turn.user, turn.conversation)
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

    async def get(self, table: str, user: str, key: str) -> dict[str, Any] | None:
        config = GetSessionConfig(num_recent_events=0)
        session = await self._service.get_session(app_name=_APP, user_id=user, session_id=user, config=config)
        found: dict[str, Any] | None = session and session.state.get(f"user:{table}:{key}")
        return found

    async def put(self, values: list[Value]) -> None:
        states: dict[str, dict[str, Any]] = {}
        for table, user, key, value in values:
            states.setdefault(user, {})[f"user:{table}:{key}"] = value
        for user, state in states.items():
            session = await self._session(user, user)
            await self._service.append_event(session, Event(author="bot", actions=EventActions(state_delta=state)))
            session.events.clear()

    async def close(self) -> None:
        if isinstance(self._service, DatabaseSessionService):
            await self._service.close()

    async def _session(self, user: str, conversation: str) -> Any:
        if conversation not in self._kept:
            given = {"app_name": _APP, "user_id": user, "session_id": conversation}
            session = await self._service.get_session(**given) or await self._service.create_session(**given)
            self._kept[conversation] = session
        return self._kept[conversation]
