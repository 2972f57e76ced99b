"""Hits of a search: their order, pages, parts and context, and what takes a message out of reach."""

from __future__ import annotations

import attrs
import pytest

from whisper_persistence.errors import ValidationError
from whisper_persistence.records import ClearMark, MessageRedaction, SearchQuery, StatisticsChange
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.searching import found, hits_of, speak


@needs("search", "conversations")
class HitConformance(Conformance):
    """What is said of each hit, and which are shown."""

    def test_scores_fall_and_parts_say_why(self, store: Store) -> None:
        speak(store)
        query = SearchQuery("lighthouse ships")
        result = store.search_messages([query])[query]
        scores = [hit.score for hit in result.hits]

        assert result.hits[0].message.message_id == "m0"
        assert scores == sorted(scores, reverse=True)
        assert all(0 < hit.score <= 1 for hit in result.hits)
        assert all(0 <= part <= 1 for hit in result.hits for part in hit.parts.values())
        assert all({"text", "recency"} <= hit.parts.keys() for hit in result.hits)
        assert "text" in result.answered
        assert result.silent == ()

    def test_pages_of_any_size_make_the_same_list(self, store: Store) -> None:
        sayings = [f"zebra {'crossing ' * (n % 7)}{n}" for n in range(23)]
        store.save_messages([samples.message(f"t{n}", text, message_id=f"m{n}") for n, text in enumerate(sayings)])
        whole = found(store, "zebra crossing", limit=100)

        assert sorted(whole) == sorted(f"m{n}" for n in range(23))
        for size in (1, 5, 22, 23):
            assert _paged(store, SearchQuery("zebra crossing", limit=size)) == whole

    def test_a_search_refuses_a_cursor_that_is_none(self, store: Store) -> None:
        speak(store)
        for cursor in ("", "x", "[1]", '["a","b","c"]', "{}"):
            with pytest.raises(ValidationError):
                store.search_messages([SearchQuery("lighthouse", cursor=cursor)])

    def test_context_is_the_turns_around_oldest_first(self, store: Store) -> None:
        store.save_messages([samples.message("t", f"turn {n}", message_id=f"m{n}") for n in range(4)])
        store.save_messages([samples.message("t", "zebra", message_id="z")])
        store.save_messages([samples.message("t", f"turn {n}", message_id=f"m{n}") for n in range(4, 8)])
        (first, *_) = hits_of(store, "zebra", context=2)

        assert first.message.message_id == "z"
        assert [turn.message_id for turn in first.context] == ["m2", "m3", "z", "m4", "m5"]
        assert hits_of(store, "zebra")[0].context == ()

    def test_redacted_and_cleared_words_are_notfound(self, store: Store) -> None:
        speak(store)
        store.update_messages([MessageRedaction("talk1", "m1"), ClearMark("talk0", 1)])

        assert "m1" not in found(store, "violoncello sister")
        assert found(store, "keeper ships") == []
        assert found(store, "lighthouse") == ["m2"]

        store.update_messages([ClearMark("talk0"), ClearMark("talk1")])

        assert found(store, "lighthouse pancakes walked") == []

    def test_a_message_sent_twice_is_found_once(self, store: Store) -> None:
        speak(store)
        speak(store)

        assert sorted(found(store, "lighthouse", limit=50)) == sorted(set(found(store, "lighthouse", limit=50)))

    def test_only_named_messages_are_looked_at_whether_or_not_a_word_is_theirs(self, store: Store) -> None:
        speak(store)
        named = (("talk1", "m3"), ("talk0", "m0"), ("talk0", "m1"), ("nowhere", "m0"))

        assert found(store, "lighthouse", among=named) == ["m0", "m3"]
        assert found(store, "lighthouse", among=named, user_id="b") == ["m3"]
        assert sorted(found(store, "", among=named)) == ["m0", "m3"]
        assert found(store, "lighthouse", among=()) == []

    def test_several_searches_are_answered_each_for_itself(self, store: Store) -> None:
        speak(store)
        queries = [SearchQuery("violoncello"), SearchQuery("pancakes", user_id="a"), SearchQuery("pancakes")]
        results = store.search_messages(queries)

        assert [hit.message.message_id for hit in results[queries[0]].hits][:1] == ["m1"]
        assert results[queries[1]].hits == ()
        assert [hit.message.message_id for hit in results[queries[2]].hits][:1] == ["m3"]

    @needs("statistics")
    def test_importance_is_a_part_and_never_hides_what_is_old(self, store: Store) -> None:
        old = samples.message("t1", "zebra crossing", message_id="old", timestamp=samples.EDGES[0])
        new = samples.message("t2", "zebra", message_id="new")
        store.save_messages([old, new, samples.message("t3", "zebra", message_id="dear")])
        store.update_statistics([StatisticsChange("alice", [samples.score("dear", 1.0), samples.score("new", 0.0)])])
        parts = {hit.message.message_id: hit.parts for hit in hits_of(store, "zebra crossing")}

        assert found(store, "zebra crossing") == ["old", "dear", "new"]
        assert (parts["dear"]["importance"], parts["new"]["importance"]) == (1.0, 0.0)
        assert "importance" not in parts["old"]


def _paged(store: Store, query: SearchQuery) -> list[str]:
    """Return what all pages of a query show, up to more than there can be."""
    ids: list[str] = []
    for _ in range(100):
        result = store.search_messages([query])[query]
        assert len(result.hits) <= query.limit
        ids += [hit.message.message_id for hit in result.hits]
        if result.cursor is None:
            break
        query = attrs.evolve(query, cursor=result.cursor)
    return ids
