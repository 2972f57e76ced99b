"""What counts as a word: one division of text for every index, whatever its database thinks of languages.

Text is normalised (NFKC, case folded) and divided where letters and digits end. Scripts that are written without blanks
are divided into single characters and pairs; symbols such as emoji are words of their own. Words are brought to their
stem by the rules of their script's most widely written language, and the function words of English are left out.
"""

from __future__ import annotations

import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib import import_module
from itertools import pairwise
from typing import Final

_FUNCTION_WORDS: Final = """
a about above after again against all am an and any are aren as at be because been before being below between both
but by can could couldn d did didn do does doesn doing don down during each few for from further had hadn has hasn
have haven having he her here hers herself him himself his how i if in into is isn it its itself just ll m me more
most my myself no nor not now of off on once only or other our ours ourselves out over own re s same she should
shouldn so some such t than that the their theirs them themselves then there these they this those through to too
under until up ve very was wasn we were weren what when where which while who whom why will with won would wouldn
you your yours yourself yourselves
"""
#: Words that say nothing about what a text is about: those of Snowball's English list, and what contractions leave.
STOP_WORDS: Final = frozenset(_FUNCTION_WORDS.split())
#: Longer words are cut: nobody wrote them to be found, and an index must not grow by them.
_LONGEST: Final = 64
#: Scripts written without blanks: Thai to Tibetan, Myanmar, Khmer, kana, and Han with its extensions.
_UNSPACED: Final = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
#: A stemmer works on a buffer of its own, which two threads must not share.
_stemming: Final = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_stemming.acquire, after_in_parent=_stemming.release, after_in_child=_stemming.release)
#: So many different words of a query are looked for.
MOST_ASKED: Final = 64
#: The first letter of a script, and the language whose stems its words are taken to.
_STEMMERS: Final = ((0x0900, "hindi"), (0x0600, "arabic"), (0x0400, "russian"), (0x0370, "greek"), (0x0000, "english"))


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what matches a word, and what matches a letter without blanks around: compiling them takes a while."""
    word = rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+(?:[\u0300-\u036f]+[^\W_{_UNSPACED}]*)*|[^\w\s]"
    return re.compile(word), re.compile(f"[{_UNSPACED}]")


def split(text: str) -> list[str]:
    """Return the words of a text in its order, normalised, with function words."""
    word, unspaced = _patterns()
    found: list[str] = []
    for match in word.finditer(unicodedata.normalize("NFKC", text).casefold()):
        piece = match.group()
        if unspaced.match(piece):
            found.extend(_grams(piece))
        elif piece.isalnum() or len(piece) > 1 or unicodedata.category(piece) == "So":
            found.append(piece[:_LONGEST])
    return found


def _grams(run: str) -> Iterator[str]:
    yield from run
    yield from map("".join, pairwise(run))


def content_words(text: str) -> list[str]:
    """Return the words of a text that say what it is about."""
    return [word for word in split(text) if word not in STOP_WORDS]


def asked_words(text: str) -> list[str]:
    """Return the different words of a query's text that are looked for: the first `MOST_ASKED`."""
    return list(dict.fromkeys(content_words(text)))[:MOST_ASKED]


def stems(text: str) -> list[str]:
    """Return the stems of the words that say what a text is about, in its order."""
    return [stem(word) for word in content_words(text)]


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return the stem of a normalised word."""
    first = ord(word[0])
    language = next(name for start, name in _STEMMERS if first >= start)
    if first >= 0x0980:
        return word
    with _stemming:
        return _stemmer(language)(word)


@cache
def _stemmer(language: str) -> Callable[[str], str]:
    stem_word: Callable[[str], str] = import_module("snowballstemmer").stemmer(language).stemWord
    return stem_word
