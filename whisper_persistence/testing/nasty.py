"""Legal values that weak stores change, cut, mix up or refuse."""

from __future__ import annotations

from typing import Any, Final

from whisper_persistence.records.checks import MAX_ID_BYTES, MAX_JSON_DEPTH

#: Identifiers, every one different from every other.
IDS: Final[tuple[str, ...]] = (
    "u",
    "u_1",
    "u_10",
    "U",
    "u ",
    " u",
    " ",
    "0",
    "00",
    "1e3",
    "-1",
    "null",
    "None",
    "true",
    "nan",
    "caf\u00e9",
    "cafe\u0301",
    "\u212b",
    "\u00c5",
    "A\u030a",
    "\ufb01ancee",
    "fiancee",
    "stra\u00dfe",
    "strasse",
    "\u0130stanbul",
    "istanbul",
    "\u202eabc\u202c",
    "\u05e9\u05dc\u05d5\u05dd",
    "\u0645\u0631\u062d\u0628\u0627",
    "\u65e5\u672c\u8a9e",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\U0001f44d\U0001f3fd",
    "\U0001f44d",
    "zero\u200bwidth",
    "zerowidth",
    "\ufeffbom",
    "bom",
    "\uffff",
    "\U0010ffff",
    "tab\tnew\nline\r\n",
    "\x01\x1f\x7f",
    "'; DROP TABLE users; --",
    '" OR 1=1 --',
    "%",
    "_",
    "u%",
    "*",
    "?",
    "[a-z]",
    "\\",
    "\\0",
    "%s%n{0}{user_id}$1:name",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\NUL",
    ".",
    "..",
    "a/b",
    "a:b",
    "a|b",
    "{a}:b",
    "alice_intervention_1",
    "<script>alert(1)</script>",
    "i" * 120,
    "i" * (MAX_ID_BYTES - 1) + "a",
    "i" * (MAX_ID_BYTES - 1) + "b",
    "\U0001f600" * (MAX_ID_BYTES // 4),
)

#: Texts, legal wherever a text is.
TEXTS: Final[tuple[str, ...]] = (
    "",
    " ",
    "\n",
    " both ends ",
    "line\r\nline\rline\u2028line\u2029line\x85line",
    *IDS,
    "e" + "\u0301" * 50,
    '{"json": [1, 2]}',
    "\ud7ff\ue000\ufffd\ufffe",
    "x" * 2_000,
)

#: A text as long as a text may be, in characters of one to four bytes.
LONG_TEXT: Final = ("a\u00e9\u65e5\U0001f600" * 100_000)[:400_000]


def nested(depth: int = MAX_JSON_DEPTH) -> dict[str, Any]:
    """Return a JSON object as deep as one may be."""
    value: Any = 1
    for level in range(depth):
        value = {"d": value} if level % 2 or level == depth - 1 else [value]
    return dict(value)


def json_object() -> dict[str, Any]:
    """Return a JSON object of everything that is easily lost on the way."""
    return {
        "": "an empty key",
        "numbers": [0, -0.0, 0.0, 1, 1.0, 1e-9, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e16, 1e22],
        "whole": [2**63 - 1, -(2**63), 2**53 + 1, -1],
        "flags": [True, False, None, 1, 0, "true", "null", ""],
        "empty": [[], {}, [[]], [{}], {"": {}}],
        "texts": list(TEXTS),
        "keys": {text: number for number, text in enumerate(IDS)},
        "zebra": 1,
        "apple": {"$ref": "#", "$type": "x", "__class__": "y", "py/object": "z"},
    }


#: A JSON object nearly as large as one may be.
LARGE_JSON: Final[dict[str, Any]] = {f"key {n}": "\u00e9" * 400 for n in range(70)}
