"""Scores: the best and the newest of a user's memories, page by page."""

from __future__ import annotations

import attrs

from whisper_persistence.records import MemoryScore, ScoreQuery, StatisticsChange
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs


def _page(store: Store, query: ScoreQuery) -> list[MemoryScore]:
    return list(next(iter(store.load_scores([query]).values()), ()))


def _walk(store: Store, query: ScoreQuery) -> list[MemoryScore]:
    seen: list[MemoryScore] = []
    while page := _page(store, query):
        seen += page
        query = attrs.evolve(query, after=page[-1])
    return seen


def _score(store: Store, **values: float) -> None:
    store.update_statistics([StatisticsChange("alice", [samples.score(m, value) for m, value in values.items()])])


@needs("statistics")
class ScoreConformance(Conformance):
    """What `load_scores` pages through."""

    def test_a_score_comes_back_in_every_field(self, store: Store) -> None:
        scores = [samples.full_score("alice", memory) for memory in nasty.IDS]
        store.update_statistics([StatisticsChange("alice", scores)])

        assert samples.same(_page(store, ScoreQuery("alice", "recent", 1_000)), scores[::-1])

    def test_a_long_explanation_is_kept_whole(self, store: Store) -> None:
        told = samples.score("m", 0.5, score_explanation=nasty.LONG_TEXT)
        store.update_statistics([StatisticsChange("alice", [told])])

        assert samples.same(_page(store, ScoreQuery("alice")), [told])

    def test_equal_scores_come_by_code_point_of_the_memory(self, store: Store) -> None:
        store.update_statistics([StatisticsChange("alice", [samples.score(m, 0.5) for m in nasty.IDS])])

        assert [s.memory_id for s in _page(store, ScoreQuery("alice", "top", 1_000))] == sorted(nasty.IDS, reverse=True)

    def test_walking_the_top_sees_each_score_once_and_in_order(self, store: Store) -> None:
        _score(store, **{f"m{n:02}": (n % 7) / 10 for n in range(40)})
        seen = _walk(store, ScoreQuery("alice", "top", 3))

        assert len(seen) == 40
        assert seen == sorted(seen, key=lambda s: (s.overall_score, s.memory_id), reverse=True)

    def test_walking_the_recent_sees_each_score_once_and_newest_first(self, store: Store) -> None:
        for start in range(0, 40, 8):
            _score(store, **{f"m{n:02}": 0.5 for n in range(start, start + 8)})
        seen = _walk(store, ScoreQuery("alice", "recent", 3))

        assert [s.memory_id for s in seen] == [f"m{n:02}" for n in reversed(range(40))]

    def test_scoring_again_makes_a_memory_the_most_recent(self, store: Store) -> None:
        _score(store, a=0.1, b=0.2)
        _score(store, a=0.05)

        assert [s.memory_id for s in _page(store, ScoreQuery("alice", "recent"))] == ["a", "b"]
        assert [s.memory_id for s in _page(store, ScoreQuery("alice", "top"))] == ["b", "a"]

    def test_the_clock_does_not_decide_what_is_recent(self, store: Store) -> None:
        for memory, moment in (("new", samples.MOMENT), ("old", samples.EDGES[0]), ("same", samples.EDGES[0])):
            told = samples.score(memory, 0.5, calculation_timestamp=moment)
            store.update_statistics([StatisticsChange("alice", [told])])

        assert [s.memory_id for s in _page(store, ScoreQuery("alice", "recent"))] == ["same", "old", "new"]

    def test_forgotten_memories_have_no_score(self, store: Store) -> None:
        _score(store, a=0.1, b=0.2)
        store.update_statistics([StatisticsChange("alice", forgotten=("a",))])

        assert [s.memory_id for s in _page(store, ScoreQuery("alice"))] == ["b"]

    def test_several_queries_are_answered_at_once(self, store: Store) -> None:
        _score(store, a=0.1, b=0.2)
        store.update_statistics([StatisticsChange("u_1", [samples.score("a", 0.9, "u_1")])])
        queries = [ScoreQuery("alice", "top", 1), ScoreQuery("alice", "recent", 2), ScoreQuery("u"), ScoreQuery("u_1")]
        found = store.load_scores(queries)

        assert {query: [s.memory_id for s in page] for query, page in found.items()} == {
            queries[0]: ["b"],
            queries[1]: ["b", "a"],
            queries[3]: ["a"],
        }
