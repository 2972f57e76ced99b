"""A model of how recents are kept: every order of every step is explored, and again with each rule taken away.

One conversation, in which message n is appended or everything is cleared. Who appends goes on after the commit: that
Redis is told of it comes at any time afterwards, in any order, or never. Who clears tells Redis; readers ask Redis,
fetch and fill, or, where staleness is allowed, show what they find at a glance; a relay works the outbox off. Any of
them may die between two steps, Redis may be emptied, or restarted with what it saved. Three things are checked: what a
reader shows stood in the database at some moment of the read; what is shown at a glance stood there at some moment
since the last write of who looks; and, at rest, Redis holds nothing that the database does not hold; it may lack what
was appended.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

RULES = (
    "cas",
    "floor",
    "fence",
    "rev_read",
    "before",
    "after",
    "outbox",
    "state_push",
    "clear_by_rev",
    "flush",
    "own",
)

Talk = tuple[int, ...]


class Recents(NamedTuple):
    """What Redis holds: recents with a label, or a lease with a token and the least label that may fill it."""

    run: int
    rev: int
    talk: Talk | None
    token: int


class Actor(NamedTuple):
    """Somebody with things to do, and where they stand in the first of them.

    Who looks at a glance has ``own``, the revision of their last write, and ``since``, what stood there since then.
    """

    jobs: tuple[str, ...]
    step: str = ""
    rev: int = 0
    talk: Talk = ()
    token: int = 0
    possible: frozenset[Talk] = frozenset()
    own: int = 0
    since: frozenset[Talk] = frozenset({()})

    def done(self) -> Actor:
        """The actor at the beginning of the next thing to do."""
        return Actor(self.jobs[1:], own=self.own, since=self.since)


class World(NamedTuple):
    """Everything there is; ``posts`` are the appends that Redis was not told of yet, by revision and number."""

    talk: Talk = ()
    rev: int = 0
    pending: int = 0
    said: int = 0
    redis: Recents | None = None
    saved: Recents | None = None
    run: int = 0
    tokens: int = 0
    faults: int = 1
    posts: frozenset[tuple[int, int]] = frozenset()
    actors: tuple[Actor, ...] = ()


class WrongError(Exception):
    """A rule was broken."""


def held(world: World, rules: frozenset[str]) -> Recents | None:
    """What a script finds; a string of another run is nothing."""
    found = world.redis
    return None if found is None or ("flush" in rules and found.run != world.run) else found


def appended(world: World, rev: int, number: int, rules: frozenset[str]) -> Recents | None:
    found = held(world, rules)
    if found is None or rev <= found.rev:
        return found
    if found.talk is None:
        return found._replace(rev=rev) if "floor" in rules else found
    if "cas" in rules and rev != found.rev + 1:
        return None
    return found._replace(rev=rev, talk=(*found.talk, number))


def dropped(world: World, rev: int, token: int, rules: frozenset[str]) -> tuple[Recents | None, bool]:
    """What is left once a change must be in there, and whether the token has a lease now."""
    found = held(world, rules)
    if found is None or found.rev >= rev:
        return found, False
    if found.talk is None:
        return (found._replace(rev=rev) if "floor" in rules else found), False
    return (Recents(world.run, rev, None, token), True) if token else (None, False)


def filled(world: World, me: Actor, rules: frozenset[str]) -> Recents | None:
    found = held(world, rules)
    if "fence" in rules and (found is None or found.talk is not None or found.token != me.token):
        return found
    if "floor" in rules and found is not None and me.rev < found.rev:
        return None if found.talk is None else found
    return Recents(world.run, me.rev, me.talk, 0)


def committed(world: World, talk: Talk, pending: int) -> World:
    """The world after a change, which every reader on its way may show from now on."""
    actors = tuple(
        actor._replace(
            possible=actor.possible | {talk} if actor.step else actor.possible,
            since=actor.since | {talk} if "glance" in actor.jobs else actor.since,
        )
        for actor in world.actors
    )
    return world._replace(talk=talk, rev=world.rev + 1, pending=pending, actors=actors)


def wrote(world: World, me: Actor) -> Actor:
    """The actor after a change of their own."""
    return me._replace(own=world.rev, since=frozenset({world.talk})) if "glance" in me.jobs else me


def moves(world: World, rules: frozenset[str]) -> Iterator[World]:
    """Every world that may come next."""
    for place, me in enumerate(world.actors):
        if me.jobs:
            for after, now in STEPS[me.jobs[0]](world, me, rules):
                yield put(after, place, now)
            if world.faults and me.step:
                yield put(world._replace(faults=world.faults - 1), place, me.done())
    for post in world.posts:
        told = world._replace(posts=world.posts - {post})
        yield told._replace(redis=appended(told, *post, rules))
        if world.faults:
            yield told._replace(faults=world.faults - 1)
    if world.faults:
        less = world._replace(faults=world.faults - 1)
        yield less._replace(redis=None)
        yield world._replace(saved=world.redis) if world.saved is None and world.redis else less
        if world.saved is not None:
            yield less._replace(redis=world.saved, run=world.run + 1)


def put(world: World, place: int, me: Actor) -> World:
    return world._replace(actors=(*world.actors[:place], me, *world.actors[place + 1 :]))


Next = Iterator[tuple[World, Actor]]


def append(world: World, me: Actor, rules: frozenset[str]) -> Next:
    del rules
    number = world.said + 1
    after = committed(world, (*world.talk, number), world.pending)
    yield after._replace(said=number, posts=after.posts | {(after.rev, number)}), wrote(after, me).done()


def clear(world: World, me: Actor, rules: frozenset[str]) -> Next:
    if not me.step:
        after = committed(world, (), world.rev + 1 if "outbox" in rules else 0)
        yield after, wrote(after, me)._replace(step="tell", rev=after.rev)
    else:
        yield world._replace(redis=dropped(world, me.rev, 0, rules)[0]), me.done()


def read(world: World, me: Actor, rules: frozenset[str]) -> Next:
    """Ask Redis and the revision in either order, then show or fetch."""
    if not me.step:
        yield world, me._replace(step="ask", possible=frozenset({world.talk}), rev=-1)
        yield world, me._replace(step="ask", possible=frozenset({world.talk}), rev=world.rev)
    elif me.step == "ask":
        yield asked(world, me, rules)
    elif me.step == "check":
        yield checked(world, me, world.rev if me.rev < 0 else me.rev, rules)
    else:
        yield fetch(world, me, rules)


def glance(world: World, me: Actor, rules: frozenset[str]) -> Next:
    """Show what Redis has, if it is not older than what one wrote oneself; else the database would be asked."""
    found = held(world, rules)
    shown = found.talk if found is not None and (found.rev >= me.own or "own" not in rules) else None
    if shown is not None and shown not in me.since:
        raise WrongError("lacks what who looks had written")
    yield world, me.done()


def asked(world: World, me: Actor, rules: frozenset[str]) -> tuple[World, Actor]:
    found = held(world, rules)
    if found is None:
        token = world.tokens + 1
        lease = Recents(world.run, 0, None, token)
        return world._replace(redis=lease, tokens=token), me._replace(step="label", token=token)
    if found.talk is None:
        return world, me.done()
    return world, me._replace(step="check", talk=found.talk, token=-found.rev - 1)


def checked(world: World, me: Actor, rev: int, rules: frozenset[str]) -> tuple[World, Actor]:
    label = -me.token - 1
    if label == rev or "rev_read" not in rules:
        if me.talk not in me.possible:
            raise WrongError("stale")
        return world, me.done()
    token = world.tokens + 1
    left, leased = dropped(world, rev, token, rules)
    after = world._replace(redis=left, tokens=token)
    return after, me._replace(step="label", token=token, rev=-1) if leased else me.done()


def fetch(world: World, me: Actor, rules: frozenset[str]) -> tuple[World, Actor]:
    """Ask for the revision, unless it is known, then for the messages, then for the revision again, and fill."""
    if me.step == "label":
        return world, me._replace(step="messages", rev=world.rev if me.rev < 0 else me.rev)
    if me.step == "messages":
        return world, me._replace(step="again", talk=world.talk)
    if me.step == "again":
        if "before" not in rules:
            return world, me._replace(step="fill", rev=world.rev)
        steady = me.rev == world.rev or "after" not in rules
        return world, me._replace(step="fill") if steady else me.done()
    return world._replace(redis=filled(world, me, rules)), me.done()


def relay(world: World, me: Actor, rules: frozenset[str]) -> Next:
    """Take what is pending, have Redis lose what lacks it, clear the outbox, and fetch the present state."""
    if not me.step:
        yield world, me._replace(step="push" if world.pending else "end", rev=world.pending)
    elif me.step == "end":
        yield world, me.done()
    elif me.step == "push":
        token = world.tokens + 1
        left, leased = dropped(world, me.rev, token, rules) if "state_push" in rules else (world.redis, False)
        yield world._replace(redis=left, tokens=token), me._replace(step="clear", token=token if leased else 0)
    elif me.step == "clear":
        done = me.rev >= world.pending or "clear_by_rev" not in rules
        after = world._replace(pending=0) if done else world
        yield after, me._replace(step="label", rev=-1) if me.token else me.done()
    else:
        yield fetch(world, me, rules)


STEPS = {"append": append, "clear": clear, "read": read, "glance": glance, "relay": relay}


def check_rest(world: World, rules: frozenset[str]) -> None:
    if world.pending or any(actor.jobs for actor in world.actors):
        return
    found = held(world, rules)
    if found is not None and found.talk is not None and not set(found.talk) <= set(world.talk):
        raise WrongError("left behind")


def explore(jobs: tuple[tuple[str, ...], ...], faults: int, without: str = "", limit: int = 3_000_000) -> int:
    """Visit every world that can be reached, and return how many there are."""
    rules = frozenset(RULES) - {without}
    start = World(faults=faults, actors=tuple(map(Actor, jobs)))
    seen, todo = {start}, [start]
    while todo:
        world = todo.pop()
        check_rest(world, rules)
        for after in moves(world, rules):
            if after not in seen:
                seen.add(after)
                todo.append(after)
        assert len(seen) < limit
    return len(seen)


SMALL = (
    ((("append", "append"), ("read", "read"), ("clear",)), 0),
    ((("append",), ("read", "read"), ("clear",)), 1),
    ((("append",), ("read",), ("clear",), ("relay",)), 0),
    ((("append", "glance", "clear", "glance"), ("read",), ("append",)), 0),
)
LARGE = (((("append", "append"), ("read", "read"), ("clear",), ("relay",)), 1),)

#: Who has to do what, with how many faults, for a rule to matter.
SCENES: dict[str, tuple[tuple[tuple[str, ...], ...], int]] = {
    "cas": ((("append", "append"), ("read", "read"), ("append",)), 0),
    "floor": ((("append",), ("read",), ("clear",), ("relay",)), 0),
    "fence": ((("append",), ("read",), ("clear",), ("relay",)), 1),
    "rev_read": ((("append", "append"), ("read", "read")), 1),
    "before": ((("append", "append"), ("read", "read")), 0),
    "after": ((("append", "append"), ("read", "read"), ("clear",)), 0),
    "outbox": ((("append", "clear"), ("read",)), 1),
    "state_push": ((("append", "clear"), ("read",), ("relay",)), 1),
    "clear_by_rev": ((("clear", "append", "clear"), ("read",), ("relay",)), 1),
    "flush": ((("append", "clear"), ("read",), ("relay",)), 1),
    "own": ((("append", "glance"), ("read",)), 0),
}


@pytest.mark.parametrize("scene", range(len(SMALL)))
def test_nothing_stale_is_shown_or_left_in_any_order(scene):
    assert explore(*SMALL[scene]) > 1_000


@pytest.mark.long
def test_nothing_stale_is_shown_or_left_in_any_order_of_more():
    assert explore(*LARGE[0]) > 100_000


@pytest.mark.parametrize("rule", RULES)
def test_without_any_rule_something_is(rule):
    jobs, faults = SCENES[rule]
    explore(jobs, faults)
    with pytest.raises(WrongError):
        explore(jobs, faults, rule)
