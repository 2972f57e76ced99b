"""What a reply says about an offer of support."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisper_persistence.companion import ReplyScore, score_reply
from whisper_persistence.companion.replies import CRISIS_PHRASES, NEGATIVE_PHRASES, POSITIVE_PHRASES

PHRASES = st.lists(st.sampled_from((*POSITIVE_PHRASES, *NEGATIVE_PHRASES, "and", "İ", "\0", "…")), max_size=12)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("thank you", ReplyScore(0.8, "successful", False)),
        ("THANK YOU!!", ReplyScore(0.8, "successful", False)),
        ("leave me alone", ReplyScore(0.2, "ineffective", True)),
        ("hopeless", ReplyScore(0.0, "crisis_escalation", True)),
        ("thank you, but it is hopeless", ReplyScore(0.0, "crisis_escalation", True)),
        ("not helpful", ReplyScore(0.5, "partial", False)),
        ("thanks ok", ReplyScore(0.5, "partial", False)),
        ("", ReplyScore(0.5, "partial", False)),
        ("thank you, that helped, I feel better, I appreciate it", ReplyScore(1.0, "successful", False)),
        ("useless, pointless, annoying, go away", ReplyScore(0.0, "ineffective", True)),
    ],
)
def test_the_examples_of_the_contract(reply, score):
    assert score_reply(reply) == score


@given(PHRASES)
def test_the_score_follows_the_counts(parts):
    reply = " ".join(parts)
    text = reply.lower()
    positive = sum(phrase in text for phrase in POSITIVE_PHRASES)
    negative = sum(phrase in text for phrase in NEGATIVE_PHRASES)
    score = score_reply(reply)

    if positive > negative:
        assert score.effectiveness == pytest.approx(min(1, 0.7 + 0.1 * positive))
    elif negative > positive:
        assert score.effectiveness == pytest.approx(max(0, 0.3 - 0.1 * negative))
    else:
        assert score.effectiveness == 0.5
    assert score.follow_up_needed == (score.effectiveness < 0.4)


@given(st.text(), st.sampled_from(CRISIS_PHRASES), st.text())
def test_a_crisis_outweighs_everything(before, phrase, after):
    assert score_reply(f"{before} {phrase.upper()} {after}").outcome_type == "crisis_escalation"


@given(st.text(), st.sampled_from([phrase for phrase in POSITIVE_PHRASES if phrase != "helpful"]))
def test_a_kind_word_never_lowers_a_score(reply, phrase):
    before = score_reply(reply)

    assert score_reply(f"{reply} {phrase}").effectiveness >= before.effectiveness
