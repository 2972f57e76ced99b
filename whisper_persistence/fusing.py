"""From what the layers found to one ranking: the only place where scores are put together.

Every layer says in a hit's ``parts`` how well the message fits, from 0 to 1, in its own way and without looking at
other hits: ``text`` is the share of the query's words that was found, rare words weighing more, and ``meaning`` the
cosine between query and message. So a message has the same score on every page, and hits of several layers compare.

    relevance = sqrt((text weight * text² + meaning weight * meaning²) / (the weights of the parts that answered))
    worth     = the weighted mean of recency (halved every ``half_life``) and importance (that of the scored memory)
    score     = relevance * (floor + (1 - floor) * worth)

Relevance is the "or" of Salton, Fox and Wu, "Extended Boolean Information Retrieval" (1983), with p = 2: a message that
fits well in one way need not fit in the other. The floor keeps old and unimportant memories within reach: worth never
costs a hit more than ``1 - floor`` of its score.
The topmost layer fuses; what it gets from below was fused already, and is fused anew from its parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import attrs
import msgspec

from whisper_persistence import records as rec
from whisper_persistence.errors import ConfigurationError, ValidationError
from whisper_persistence.records import Message, Window, fields

if TYPE_CHECKING:
    from whisper_persistence.records import SearchHit, SearchQuery, SearchResult

#: How many hits a layer that fuses asks for below, and so how many a query can page through at most.
CANDIDATES: Final = 200
#: What a memory that was never scored is taken to be worth.
_UNSCORED: Final = 0.5
_DAY: Final = timedelta(days=1)
_RELEVANT: Final = ("text", "meaning")
_WORTHY: Final = ("recency", "importance")

K = TypeVar("K", bound=tuple[Any, ...])
Load: TypeAlias = Callable[[Sequence[Window]], Mapping[Window, tuple[Message, ...]] | None]

_read_cursor = msgspec.json.Decoder(tuple[datetime, float, str, str])

_share = attrs.validators.and_(attrs.validators.ge(0.0), attrs.validators.le(1.0))
_part: Any = {"converter": float, "validator": attrs.validators.ge(0.0)}


@attrs.frozen
class Weights:
    """How much each part of a score counts.

    Attributes:
        text, meaning: the parts of relevance, against each other.
        recency, importance: the parts of worth, against each other.
        floor: the share of a hit's relevance that no age and no unimportance takes away, 0 to 1.
        half_life: after so many days recency is one half.
    """

    text: float = attrs.field(default=0.75, **_part)
    meaning: float = attrs.field(default=0.25, **_part)
    recency: float = attrs.field(default=0.5, **_part)
    importance: float = attrs.field(default=0.5, **_part)
    floor: float = attrs.field(default=0.9, converter=float, validator=_share)
    half_life: float = attrs.field(default=30.0, converter=float, validator=attrs.validators.gt(0.0))


def to_weights(given: Weights | Mapping[str, Any]) -> Weights:
    """Return the weights that a driver's option names; those it leaves out keep their default.

    Raises:
        ConfigurationError: names the weight that there is not, or that is no such number.
    """
    if isinstance(given, Weights):
        return given
    try:
        return Weights(**given)
    except (TypeError, ValueError) as error:
        known = ", ".join(field.name for field in attrs.fields(Weights))
        raise ConfigurationError(f"weights of a search: {error.args[0]} (known: {known})") from None


def memory_of(message: Message) -> str:
    """Return the memory whose score is a message's importance: the one its extras name, or that of its own id."""
    return str(message.extra.get("memory_id") or message.message_id)


def candidates(query: SearchQuery) -> SearchQuery:
    """Return what a layer that fuses asks below, to have more to choose from than it shows."""
    return attrs.evolve(query, limit=CANDIDATES, context=0, cursor=None)


def fuse(
    hits: Iterable[SearchHit], answered: Sequence[str], weights: Weights, now: datetime | None = None
) -> list[SearchHit]:
    """Return hits with their scores, the best first; those that fit in no way come last.

    Args:
        hits: what the layers found, with the parts they gave, each message once.
        answered: `SearchResult.answered`; a part that answered and did not give a hit anything counts as 0 for it.
        weights: how much each part counts.
        now: the moment that ages are counted from.
    """
    moment = now or fields.now()
    relevant = _shares(weights, _given(answered))
    worthy = _shares(weights, _WORTHY)
    return sorted((_scored(hit, relevant, worthy, weights, moment) for hit in hits), key=_rank)


def _given(answered: Sequence[str]) -> list[str]:
    """Return the parts of relevance that layers answered with, in whatever way."""
    return [part for part in _RELEVANT if any(way.partition(" ")[0] == part for way in answered)]


def _shares(weights: Weights, parts: Sequence[str]) -> list[tuple[str, float]]:
    """Return how much each of some parts counts against the others; none where none counts at all."""
    total = sum(getattr(weights, part) for part in parts)
    return [(part, getattr(weights, part) / total) for part in parts] if total else []


def _scored(
    hit: SearchHit,
    relevant: Sequence[tuple[str, float]],
    worthy: Sequence[tuple[str, float]],
    weights: Weights,
    now: datetime,
) -> SearchHit:
    age = max((now - hit.message.timestamp) / _DAY, 0.0)
    parts = {**hit.parts, "recency": 0.5 ** (age / weights.half_life)}
    fit = math.sqrt(sum([share * parts.get(part, 0.0) ** 2 for part, share in relevant]))
    worth = sum([share * parts.get(part, _UNSCORED) for part, share in worthy]) if worthy else 1.0
    score = fit * (weights.floor + (1.0 - weights.floor) * worth)
    return rec.SearchHit(hit.message, min(max(score, 0.0), 1.0), parts, hit.context)


def _rank(hit: SearchHit) -> tuple[float, str, str]:
    return (-hit.score, hit.message.conversation_id, hit.message.message_id)


def page(
    hits: Iterable[SearchHit], answered: Sequence[str], weights: Weights, query: SearchQuery
) -> tuple[tuple[SearchHit, ...], str | None]:
    """Return one page of fused hits, and the cursor of the next; hits that fit in no way are on none.

    All pages of a query count ages from the moment of the first, so that no score changes between them.

    Raises:
        ValidationError: the query's cursor is not one.
    """
    now, *after = (fields.now(),) if query.cursor is None else _position(query.cursor)
    ranked = [hit for hit in fuse(hits, answered, weights, now) if hit.score > 0.0 or query.among is not None]
    left = [hit for hit in ranked if _rank(hit) > tuple(after)] if after else ranked
    shown = tuple(left[: query.limit])
    more = len(left) > len(shown)
    return shown, msgspec.json.encode((now, *_rank(shown[-1]))).decode() if more else None


def _position(cursor: str) -> tuple[datetime, float, str, str]:
    try:
        position = _read_cursor.decode(cursor)
    except msgspec.MsgspecError:
        position = None
    if position is None or position[0].tzinfo is None:
        raise ValidationError("cursor", "is not one that a search returned: begin without one")
    return position


def shortlist(fits: Mapping[K, float], query: SearchQuery, weights: Weights) -> list[K]:
    """Return what may be on the page that a query asks for, from how well each message fits, the best first.

    A score lies between ``fit * floor`` and ``fit``; so a layer that answers alone need not read the messages that are
    on an earlier or a later page whatever they are worth.
    """
    ranked = sorted(fits, key=lambda key: (-fits[key], key))
    if query.among is not None:
        return ranked
    last = 1.0 if query.cursor is None else -_position(query.cursor)[1]
    open_ = [key for key in ranked if fits[key] * weights.floor <= last]
    sure = [key for key in open_ if fits[key] <= last]
    if len(sure) <= query.limit:
        return open_
    least = fits[sure[query.limit]] * weights.floor
    return [key for key in open_ if fits[key] >= least]


def surround(hits: Sequence[SearchHit], query: SearchQuery, load: Load) -> tuple[SearchHit, ...]:
    """Return hits with the turns around them that the query asks for; a query of one user is shown that user's only.

    Args:
        hits: one page.
        query: what was asked.
        load: ``load_messages`` of the layer itself or of those below.
    """
    if not query.context or not hits:
        return tuple(hits)
    asked = [(_window(hit, query, before=True), _window(hit, query, before=False)) for hit in hits]
    shown = load([window for pair in asked for window in pair]) or {}
    return tuple(
        attrs.evolve(hit, context=(*shown.get(before, ()), hit.message, *shown.get(after, ())))
        for hit, (before, after) in zip(hits, asked, strict=True)
    )


def _window(hit: SearchHit, query: SearchQuery, *, before: bool) -> Window:
    talk, place = hit.message.conversation_id, hit.message.sequence
    if before:
        return Window(talk, query.context, before=place, user_id=query.user_id)
    return Window(talk, query.context, after=place, user_id=query.user_id)


def explain(hit: SearchHit, result: SearchResult, weights: Weights) -> str:
    """Return how a hit's score came about, as a line to show: weight and value of each part."""
    relevant = _given(result.answered)
    fit = " + ".join(f"{getattr(weights, part):g} * {part} {hit.parts.get(part, 0.0):.3f}²" for part in relevant)
    total = sum(getattr(weights, part) for part in relevant) or 1.0
    valued = {"recency": weights.recency, "importance": weights.importance}
    worth = " + ".join(f"{weight:g} * {part} {hit.parts.get(part, _UNSCORED):.3f}" for part, weight in valued.items())
    span = f"({weights.floor:g} + {1 - weights.floor:g} * ({worth}) / {sum(valued.values()):g})"
    return f"{hit.score:.3f} = sqrt(({fit}) / {total:g}) * {span}"
