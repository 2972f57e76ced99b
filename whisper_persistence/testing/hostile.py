"""Inputs that somebody would write who means harm, or who merely writes in another script; the same at every run."""

# ruff: noqa: RUF001  # letters that look like others are what this is about

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final, cast

from whisper_persistence.testing import nasty

SQL: Final = (
    "' OR '1'='1", "'; DROP TABLE conversation_history; --",
    '" UNION SELECT record FROM user_support_strategies --', "alice'/*", "*/ OR 1=1 #",
    "1; ATTACH DATABASE '/tmp/x' AS y", "$$; SELECT pg_sleep(9); $$", "E'\\'", "\\'; --",
    "') ON CONFLICT DO UPDATE SET record = '{}", ":name %(name)s ? $1", "x' COLLATE NOCASE", "0x27", "CHAR(39)",
    "COPY t FROM PROGRAM 'id'", "'||(SELECT 1)||'", "alice%", "ali_e", "[a-z]*", "'::jsonb", "{1,2}'::text[]",
    "NULL",
)  # fmt: skip
FTS: Final = (
    '"', 'NEAR("a" "b", 2)', "content:secret", "a AND NOT b", "* OR *", "-alice", "^alice", "a:*", "(((",
    "col1 : x + y", "'a' & !'b' | ('c' <-> 'd')", "foo:AB*", "<->", "@user:{alice}", "=>[KNN 5 @v $b]",
    "@text:(a|b)", "%%fuzzy%%", "~",
)  # fmt: skip
REDIS: Final = (
    "a\r\nFLUSHALL\r\n", "*1\r\n$8\r\nFLUSHALL\r\n", "{alice}:talk", "talk}{alice", "alice:*", "__keyspace@0__:*",
    "\r\n", "redis.call('FLUSHALL')", "KEYS[1]", "..cjson.decode", "]] --[[", "namespace:elena:user:alice", "?[\\*",
    "::", "|",
)  # fmt: skip
PATHS: Final = (
    "$", "$.*", "$..user_id", "$[0]", "$['a']['b']", "$.a[?(@.b==1)]", "'$.x'", "a.b.c", "#>>'{a}'", "->>'x'", "@?",
    "/a~1b", "../../../../etc/passwd", "..\\..\\windows\\win.ini", "/dev/null", "file:///etc/passwd", "~/.ssh/id",
    "CON", "NUL.txt", "%2e%2e%2f", "....//", "C:\\", "\\\\server\\share", "memory.db-wal", "-", "--help", ".", "..",
    "a/", "/",
)  # fmt: skip
FORMATS: Final = (
    "%s%s%s%n", "%(user)s", "{0.__class__.__mro__}", "{user_id!r:>99}", "{{}}", "${jndi:ldap://x}", "$USER", "`id`",
    "$(id)", "<script>alert(1)</script>", "&lt;", "\x1b[31m", "{% raw %}", "#{1+1}", "__proto__", "constructor",
    "=1+1", "\\u0000",
)  # fmt: skip
CONTROLS: Final = tuple(
    [chr(n) for n in (*range(1, 32), *range(127, 160), 0x200B, 0x200D, 0x202E, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)]
)
TWINS: Final = (
    "é", "Å", "ﬁ", "ß", "ẞ", "İ", "ı", "Ǆ", "한글", "ﬀ", "Ω", "ℌ", "²", "①", "ｱ", "がぎ", "ö̲", "क़", "שּׁ", "ﷺ", "𝒜",
    "K", "ａlice", "аlice", "ALICE", "alıce", "alice\u00ad", "alice\u200b", " alice", "alice ",
    "alice\u00a0", "Alice",
)  # fmt: skip
ILLEGAL: Final = ("\0", "\ud800", "\udfff", "a\0b", "\ud83d", "\udc00\ud800")

_FORMS: Final[tuple[Callable[[str], str], ...]] = (
    str, str.upper, str.lower, str.casefold, str.swapcase, str.title,
    *(lambda text, form=form: unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")),
)  # fmt: skip
_FAMILIES: Final = (SQL, FTS, REDIS, PATHS, FORMATS, CONTROLS, TWINS, nasty.IDS)


def texts(number: int, seed: int = 9) -> list[str]:
    """Return that many different texts, all that are listed above first among them; about one in thirty is illegal."""
    found = dict.fromkeys([text for family in (*_FAMILIES, ILLEGAL) for text in family])
    letters = random.Random(seed)  # noqa: S311
    for n in count():
        if len(found) >= number:
            return list(found)[:number]
        found.setdefault(_mixed(letters, n))
    raise AssertionError


def _mixed(letters: random.Random, n: int) -> str:
    """Return some pieces of several families in one, in another form or length."""
    pieces = [letters.choice(letters.choice(_FAMILIES)) for _ in range(letters.randint(1, 4))]
    text = letters.choice(_FORMS)("".join(pieces))
    if n % 31 == 0:
        text += letters.choice(ILLEGAL)
    if n % 97 == 0:
        text = (text * 600)[: letters.choice((511, 512, 513, 5_000))]
    return text


def objects(number: int, seed: int = 9) -> Iterator[tuple[Any, bool]]:
    """Yield JSON objects, and whether each is legal: deep, wide, with odd keys and numbers."""
    letters, words = random.Random(seed), texts(300, seed)  # noqa: S311
    legal: tuple[Callable[[], Any], ...] = (
        lambda: {letters.choice(words[:200]): _value(letters, words, 6)},
        lambda: nasty.nested(letters.randint(1, 32)),
        lambda: {f"{n}": letters.choice(words[:200]) for n in range(300)},
        lambda: {"n": [letters.choice((2**63 - 1, -(2**63), -0.0, 5e-324, 1e308, 1, 1.0, True))]},
        lambda: {"": {"": [{"": None}]}, "$ref": "#", "__class__": "x", "$type": "System.Object"},
    )
    illegal: tuple[Callable[[], Any], ...] = (
        lambda: nasty.nested(33),
        lambda: nasty.nested(letters.randint(34, 900)),
        lambda: {"x": "é" * letters.randint(32_000, 90_000)},
        lambda: {"n": letters.choice((float("nan"), float("inf"), 2**63, -(2**63) - 1, 10**400))},
        lambda: {letters.choice(ILLEGAL): 1},
        lambda: {"deep": [{"er": letters.choice(ILLEGAL)}]},
        lambda: {"x": letters.choice((b"bytes", {1, 2}, object, 1j, (1, 2)))},
        lambda: {letters.choice((1, None, True)): "x"},
    )
    for n in range(number):
        fine = n % 3 != 0
        value = letters.choice(legal if fine else illegal)()
        yield value, fine and not _holds_illegal(value)


def _value(letters: random.Random, words: list[str], depth: int) -> Any:
    if depth == 0 or letters.random() < 0.3:
        return letters.choice(words[:200])
    if letters.random() < 0.5:
        return [_value(letters, words, depth - 1) for _ in range(letters.randint(0, 3))]
    return {letters.choice(words[:200]): _value(letters, words, depth - 1) for _ in range(letters.randint(0, 3))}


def _holds_illegal(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_illegal(part) for pair in cast("dict[Any, Any]", value).items() for part in pair)
    if isinstance(value, list):
        return any(_holds_illegal(part) for part in cast("list[Any]", value))
    return isinstance(value, str) and not storable(value)


def storable(text: str) -> bool:
    """Say whether every database can keep a text: no NUL, and it can be written as UTF-8."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
