"""Other embedders: their identity is kept, a change of it embeds everything anew while search goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.records import State, VectorQuery


@pytest.fixture(autouse=True)
def _own_embedders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.mark.long
def test_another_embedder_takes_over_while_the_one_before_answers(memories: Any) -> None:
    before = memories.open(embedder="embedding:letters")
    before.say(60)
    before.settle()
    old, build = before.state.current.identity, before.state.index.build
    before.store.close()
    after = memories.open(embedder="embedding:pairs")
    new = after.state.current.identity
    after.say(1, start=60)
    seen = set()
    while after.state.serving is not after.state.current or not after.is_settled() or not after.by_index():
        result = after.find(after.saying(33))
        if result.answered:
            seen.add(after.state.serving.identity)
        assert "m33" in [hit.message.message_id for hit in result.hits] or not result.answered
    pages = after.store.load_vectors([VectorQuery(new)])

    assert (old.startswith("embedding:letters:"), new.startswith("embedding:pairs:")) == (True, True)
    assert seen <= {old, new}
    assert len(pages[VectorQuery(new)].records) == 61
    assert after.settle().details["searched_embedder"] == new
    assert [path.name for path in after.folder.glob("index-*")] == [after.state.index.build] != [build]
    assert after.found(after.saying(60))[0] == "m60"


def test_an_embedder_that_is_gone_is_replaced_without_it(memories: Any) -> None:
    before = memories.open(embedder="embedding:letters", index_from=1_000, few=1_000)
    before.say(20)
    before.settle(index=False)
    before.store.close()
    after = memories.open(embedder="embedding:pairs", index_from=1_000, few=1_000)
    after.settle(index=False)

    assert after.found(after.saying(7))[0] == "m7"


def test_what_cannot_be_embedded_is_set_aside_and_reported_and_stops_nobody(memories: Any) -> None:
    memory = memories.open(embedder="embedding:careful", index_from=1_000, few=1_000)
    memory.settle(index=False)
    memory.say(10)
    memory.say(1, talk="poison talk")
    memory.store.save_messages([memory.say(0) or _poison()])
    memory.say(10, start=20)

    import time

    deadline = time.monotonic() + 60
    while memory.health().details["set_aside"] < 1:
        assert time.monotonic() < deadline, memory.health()
        time.sleep(0.05)
    seen = memory.health()

    assert (seen.state, seen.details["set_aside"], seen.details["pending"]) == (State.DEGRADED, 1, 1)
    assert memory.found(memory.saying(25))[0] == "m25"


def _poison() -> Any:
    from embedding import POISON  # type: ignore[import-not-found]

    from whisper_persistence.testing import samples

    return samples.message("talk", f"this is {POISON}", message_id="p")


@pytest.mark.parametrize("embedder", ["embedding:nothing_but_nan", "embedding:one_short"])
def test_an_embedder_that_answers_nonsense_breaks_nothing(memories: Any, embedder: str) -> None:
    memory = memories.open(embedder=embedder, index_from=1_000, few=1_000)
    memory.say(3)
    result = memory.find("otter")

    assert memory.health().tier == "chroma-recall"
    assert all(hit.message.content for hit in result.hits)


@pytest.mark.parametrize(
    ("embedder", "given"),
    [("chroma:nope", {}), ("chroma:openai", {}), ("chroma:default", {"no_such_option": "private"})],
)
def test_one_of_chromas_embedding_functions_that_cannot_be_made_is_refused_by_name(
    memories: Any, monkeypatch: pytest.MonkeyPatch, embedder: str, given: dict[str, str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=f"embedder {embedder} cannot be made") as caught:
        memories.open(embedder=embedder, embedder_options=given)

    assert "built anew" not in str(caught.value)
    assert "private" not in str(caught.value)


@pytest.mark.long
def test_one_of_chromas_embedding_functions_works_by_its_name(memories: Any) -> None:
    """A function that asks a server nobody runs: the text waits, search goes on, and nothing hangs."""
    memory = memories.open(
        embedder="chroma:ollama",
        embedder_options={"url": "http://127.0.0.1:9", "model_name": "none"},
        index_from=1_000,
        write_timeout=10.0,
    )
    memory.say(3)
    result = memory.find("otter")

    assert result.silent == ("meaning",)
    assert memory.health().state is State.DEGRADED
