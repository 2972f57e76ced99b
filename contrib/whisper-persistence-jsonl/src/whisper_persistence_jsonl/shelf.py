"""The conversations of a namespace, kept up to date with their files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice

import attrs

from whisper_persistence.records import Message
from whisper_persistence_jsonl.conversation import Conversation, Place, read_messages
from whisper_persistence_jsonl.folder import Folder

#: How many conversations are remembered; others are read again when asked for.
REMEMBERED = 1_000


@attrs.define(eq=False)
class Shelf:
    """What is known of the files of a folder. To be used while the folder is locked."""

    folder: Folder
    _ids: dict[str, str] = attrs.field(init=False, factory=dict[str, str])
    _known: OrderedDict[str, Conversation] = attrs.field(init=False, factory=OrderedDict[str, Conversation])

    def find(self, name: str) -> Conversation:
        """Return a conversation as its file says now; an empty one where there is no file."""
        try:
            with self.folder.open(name) as file:
                first_line = file.readline()
                if not first_line.endswith(b"\n"):
                    return Conversation()
                conversation = self._remember(name, first_line, file.seek(0, 2))
                if not conversation.read_on(file):
                    self.folder.cut(name, conversation.size)
                return conversation
        except FileNotFoundError:
            return Conversation()

    def find_all(self) -> Iterator[tuple[str, Conversation]]:
        """Return every conversation with the name of its file, in a stable order."""
        return ((name, self.find(name)) for name in self.folder.names())

    def conversation_ids(self) -> list[str]:
        """Return the ids of all conversations that hold a message, in order."""
        for name in self.folder.names():
            if name not in self._ids:
                for message in self.read(name, islice(self.find(name).places.values(), 1)):
                    self._ids[name] = message.conversation_id
        return sorted(self._ids.values())

    def read(self, name: str, places: Iterable[Place]) -> tuple[Message, ...]:
        """Return the messages at these places of a file."""
        with self.folder.open(name) as file:
            return read_messages(file, places)

    def _remember(self, name: str, first_line: bytes, size: int) -> Conversation:
        known = self._known.pop(name, None)
        if known is None or known.first_line != first_line or known.size > size:
            known = Conversation.begin(first_line)
        self._known[name] = known
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known
