"""Every interleaving of the write path, checked by brute force; and the same with each safety rule removed.

Two bots, one user, one key and one counter. SQL is the truth; each bot has a durable local journal; a cache and a
search index follow through an outbox that is written in the SQL transaction. Faults, at any step and bounded in number:
a process crashes, SQL is down, SQL commits and the reply is lost, SQL fails without committing, a call passes its
deadline and lands later or never, as where a disk stalls its commit, the cache is down or back from an old snapshot, a
cache write is skipped, a relay stalls between its read and its push. The search visits every reachable state.

Checked in every state    READ    with SQL up, a read never returns anything but SQL's current value
                          SEARCH  with SQL up, a search never returns text SQL does not hold
                          SILENT  a replayed write never silently replaces a newer write, its own bot's or another's;
                                  nor brings back erased text; nor is dropped for an erase it followed; nor is set
                                  aside where nobody but its own bot wrote
                          OWN     a bot's read shows each of its acknowledged writes once, whatever became of it
                          BLIND   a write that passes its deadline turns no read away
Checked at rest           ACKED   every acknowledged write is in SQL (or was erased by an erase it did not follow)
                          ONCE    the counter equals the distinct increments applied
                          FOLLOW  cache and index hold SQL's value or nothing

How the code keeps each rule (``net`` is ``whisper_persistence_drivers.net``):

journal_first      `net.net.Net.write` answers only after the drivers below did, or after `Backlog.add`, whose SQLite transaction
                   (`net.journal`) is synchronous=FULL; what is in memory only is answered ``VOLATILE``.
dedupe             change, message and outcome ids; saves and erases carry the id of their `origins.Origin`, made once
                   before any attempt, which `sql.replaying` writes down as applied.
keep_until_commit  `net.relay.Relay._bring` calls `Backlog.done` after the drivers below answered.
fifo               `Net.write` asks `Backlog.blocks` first; `Backlog.head` hands out the oldest.
conflict           `sql.replaying._conflicts`: a replayed save whose user's revision grew beyond ``based_on`` is kept in
                   ``conflicts``. ``based_on``, which here is ``base``, is the revision that was known when the save was
                   written down (`Backlog.add`), raised by one for each own write replayed since (`net.bases`); whatever
                   became of that write, it raised the revision in SQL.
epoch              `sql.erasures.erased_since`: the namespace numbers its erases, every receipt names the newest, and an
                   entry carries the newest that its bot had seen; so does a call that may pass its deadline, which
                   `sql.replaying` refuses inside its transaction. Who still waits for it hears so and asks again
                   (`net.net.Net.write`).
epoch_durable      `net.folder.Folder.note_seen`, written and synced when the number grows.
own_order          an erase is written down with its writer and the writer's own number (`sql.erasures.note_erasure`).
outbox             `sql.transaction.Transaction.tell` and `finish`, inside the transaction.
state_push, clear_by_rev, cas, fence, rev_read, flush_on_restart
                   the cache's: `redis_hybrid`; its followers read the present row and clear up to its revision.
filter_search      the search layers': what SQL does not hold is not found.
lanes              `net.calls.Calls` keeps a breaker, and a bound on what is on its way, for writes and another for reads:
                   a passed deadline opens that of its own kind alone, a connection that is refused or breaks puts the
                   other on trial too. A write or a replay that succeeds closes the one, a read or a report of the
                   database's health the other (`net.probing`, `net.relay`).
overlay            `net.settling.Settler` folds what waits into what is stored.
overlay_once       ... less the messages that are found stored (`net.windows`); what else may be stored already is waited
                   for, or answered from memory.
"""

from __future__ import annotations

from collections import namedtuple

# sql: val, writer bot, rev, erase epoch, last erase as (bot, n), applied ops, counter, sibling vals, pending outbox (redis, chroma)
Sql = namedtuple("Sql", "val writer rev epoch eby applied count sib outR outC")
# follower: up, val, rev, snapshot (val, rev, gen), known (False: restarted, not yet emptied), generation
Fol = namedtuple("Fol", "up val rev snap known gen")
# bot: alive, script index, phase, journal, last rev seen, last epoch seen, last epoch really seen (for the checker only)
# late: an operation that passed its deadline, is in the journal, and may still land
# shut: the lanes whose breaker a passed deadline of a write has opened, "w" and "r"
Bot = namedtuple("Bot", "alive i phase jr seen epoch ghost late shut")
# relR / relC: what a relay has read from SQL and not pushed yet
St = namedtuple("St", "up sql R C relR relC bots acked bud silent")
# base: grows by one for each own write replayed before it; saw: what the bot had seen (for the checker only)
Op = namedtuple("Op", "id bot kind base epoch ghost saw")

RULES = dict(
    journal_first=1,  # acknowledge only after SQL committed or the journal append is durable
    dedupe=1,  # op ids make replay idempotent
    keep_until_commit=1,  # drop a journal entry only after SQL committed it
    fifo=1,  # while a bot's journal is not empty, its new writes queue behind it
    conflict=1,  # a replay that meets another bot's newer row keeps both
    epoch=1,  # a replay from before an erase it did not follow is dropped; a call that lands late is refused for it
    epoch_durable=1,  # the erase epoch a bot has seen survives a crash
    own_order=1,  # a bot's writes after its own erase are never dropped by that erase
    outbox=1,  # follower work is written in the SQL transaction
    state_push=1,  # the relay pushes the current row, not the old op
    clear_by_rev=1,  # the relay clears only outbox entries up to the rev it pushed
    cas=1,  # Redis takes a value only if its rev is not older
    fence=1,  # ... and only if the cache generation is the one seen before SQL was read
    rev_read=1,  # a cached value is used only if its rev is SQL's
    flush_on_restart=1,  # a restarted Redis is emptied (new generation) before it is used
    filter_search=1,  # search hits are checked against SQL
    lanes=1,  # a write that passes its deadline turns writes away, and no reads
    overlay=1,  # a read shows what waits in the bot's journal
    overlay_once=1,  # ... unless SQL has it already
)
#: Those of the specification; the others are about what is read in an outage, which it leaves open.
SPECIFIED = 16
WRITES, READS, BOTH = frozenset("w"), frozenset("r"), frozenset("wr")


def outdated(sql, op, ru):
    """Whether an erase that it did not follow came between an operation and SQL."""
    own = ru["own_order"] and sql.eby and sql.eby[0] == op.bot and int(op.id[1]) > sql.eby[1]
    return op.kind != "erase" and op.epoch < sql.epoch and not own


def apply(sql, op, replay, ru, late=False):
    """One SQL transaction. Returns (sql, silently_replaced)."""
    if ru["dedupe"] and (op.id in sql.applied or "x" + op.id in sql.applied):
        return sql, False
    if late and outdated(sql, op, ru):
        return (sql, False) if ru["epoch"] else (sql, "ERASED TEXT CAME BACK")
    own = ru["own_order"] and sql.eby and sql.eby[0] == op.bot and int(op.id[1]) > sql.eby[1]
    if ru["epoch"] and replay and op.kind != "erase" and op.epoch < sql.epoch and not own:
        return sql._replace(
            applied=sql.applied | {"x" + op.id}, rev=sql.rev + 1
        ), "ACKED WRITE DROPPED" if op.ghost >= sql.epoch else False
    rev, bad = sql.rev + 1, False
    s = sql._replace(applied=sql.applied | {op.id}, rev=rev)
    if op.kind == "inc":
        s = s._replace(count=s.count + 1)
    elif op.kind == "erase":
        s = s._replace(val=None, writer=op.bot, epoch=s.epoch + 1, eby=(op.bot, int(op.id[1])), sib=frozenset())
    else:
        newer = replay and sql.val is not None and sql.writer != op.bot and sql.rev > op.saw
        judged = replay and sql.val is not None and sql.rev > op.base
        stale = replay and op.epoch < sql.epoch and not own
        if judged and ru["conflict"]:
            bad = "OWN WRITE SET ASIDE" if ru["alone"] else False
            s = s._replace(sib=s.sib | {op.id})
        else:
            undone = replay and sql.val is not None and sql.writer == op.bot and sql.val[1] > op.id[1]
            bad = (
                "SILENT"
                if newer
                else "ERASED TEXT CAME BACK"
                if stale
                else "OLDER WRITE OF THE SAME BOT WON"
                if undone
                else False
            )
            s = s._replace(val=op.id, writer=op.bot)
    if ru["outbox"]:
        s = s._replace(outR=s.outR | {(op.id, rev)}, outC=s.outC | {(op.id, rev)})
    return s, bad


def put(f, val, rev, gen, ru, can_cas=True):
    """A cache write. Chroma has neither compare-and-set nor a generation; a file lock gives it one writer instead."""
    if (can_cas and ru["cas"] and rev < f.rev) or (can_cas and ru["fence"] and gen != f.gen):
        return f
    return f._replace(val=val, rev=rev)


def wake(f, ru):
    if not f.known and ru["flush_on_restart"]:
        return f._replace(val=None, rev=0, known=True, gen=f.gen + 1)
    return f


def moves(st, scripts, ru):
    bud = dict(st.bud)

    def spend(k):
        b = dict(bud)
        b[k] -= 1
        return tuple(sorted(b.items()))

    def bot(b, **kw):
        return st.bots[:b] + (st.bots[b]._replace(**kw),) + st.bots[b + 1 :]

    for b, me in enumerate(st.bots):
        if not me.alive:
            yield (
                f"bot{b} restarts",
                st._replace(bots=bot(b, alive=True, phase=None, seen=0, epoch=me.epoch if ru["epoch_durable"] else 0)),
            )
            continue
        if me.phase is None and me.i < len(scripts[b]):
            kind = scripts[b][me.i]
            op = Op(f"{'AB'[b]}{me.i}{kind}", b, kind, me.seen, me.epoch, me.ghost, me.seen)
            ph = "jrn" if ru["fifo"] and me.jr else "sql"
            yield f"bot{b} starts {op.id}", st._replace(bots=bot(b, phase=(ph, op), i=me.i + 1))
        if me.phase and me.phase[0] == "sql":
            op = me.phase[1]
            early = st.acked if ru["journal_first"] else st.acked | {op.id}
            miss = st._replace(acked=early, bots=bot(b, phase=("jrn", op)))
            passed = bot(b, phase=("jrn", op), late=op, shut=me.shut | (WRITES if ru["lanes"] else BOTH))
            if me.shut & WRITES:
                yield f"bot{b} {op.id} turned away", st._replace(acked=early, bots=bot(b, phase=("jrn", op)))
            told = op._replace(epoch=st.sql.epoch, ghost=st.sql.epoch)
            if st.up and ru["epoch"] and outdated(st.sql, op, ru):
                yield (
                    f"bot{b} {op.id} refused for an erase, asks again",
                    st._replace(bots=bot(b, phase=("sql", told), epoch=st.sql.epoch, ghost=st.sql.epoch)),
                )
                if bud["late"]:
                    yield (
                        f"bot{b} {op.id} passes its deadline",
                        miss._replace(bud=spend("late"), bots=passed),
                    )
            elif st.up:
                s, bad = apply(st.sql, op, False, ru)
                # the generation is the one this bot knew before the transaction; a Redis nobody has emptied yet counts as known
                yield (
                    f"bot{b} {op.id} committed",
                    st._replace(
                        sql=s,
                        silent=st.silent or bad,
                        acked=st.acked | {op.id},
                        bots=bot(
                            b,
                            phase=("cache", op, s.rev, st.R.gen),
                            seen=s.rev,
                            epoch=s.epoch,
                            ghost=s.epoch,
                            shut=me.shut - WRITES,
                        ),
                    ),
                )
                if bud["late"]:
                    yield (
                        f"bot{b} {op.id} passes its deadline",
                        miss._replace(bud=spend("late"), bots=passed),
                    )
                if bud["lost"]:
                    yield f"bot{b} {op.id} committed, reply lost", miss._replace(sql=s, bud=spend("lost"))
                    yield f"bot{b} {op.id} failed", miss._replace(bud=spend("lost"))
            else:
                yield f"bot{b} {op.id} refused", miss
        if me.phase and me.phase[0] == "jrn":
            op = me.phase[1]
            yield (
                f"bot{b} {op.id} journaled",
                st._replace(acked=st.acked | {op.id}, bots=bot(b, phase=None, jr=me.jr + (op,))),
            )
        if me.phase and me.phase[0] == "cache":
            op, rev, gen = me.phase[1:]
            yield f"bot{b} skips cache", st._replace(bots=bot(b, phase=None))
            if st.R.up and op.kind == "put":
                yield (
                    f"bot{b} writes cache {op.id}",
                    st._replace(R=put(wake(st.R, ru), op.id, rev, gen, ru), bots=bot(b, phase=None)),
                )
        if me.late:
            yield f"bot{b} {me.late.id} never lands", st._replace(bots=bot(b, late=None))
            if st.up:
                s, bad = apply(st.sql, me.late, False, ru, late=True)
                yield (
                    f"bot{b} {me.late.id} lands late",
                    st._replace(sql=s, silent=st.silent or bad, bots=bot(b, late=None)),
                )
        if me.jr and me.phase is None and st.up and me.late is None:  # replay the oldest entry
            rest = tuple(o._replace(base=o.base + 1) for o in me.jr[1:])
            op = me.jr[0]
            done = op.id in st.sql.applied or "x" + op.id in st.sql.applied
            s, bad = apply(st.sql, op, True, ru)
            after = dict(sql=s, silent=st.silent or bad)
            if not ru["keep_until_commit"]:
                yield f"bot{b} drops {op.id} first", st._replace(bots=bot(b, jr=me.jr[1:], phase=("late", op)))
            elif not done or not ru["dedupe"]:
                yield (
                    f"bot{b} replays {op.id}, clears it",
                    st._replace(
                        **after,
                        bots=bot(
                            b,
                            jr=rest,
                            seen=me.seen + 1 if rest else s.rev,
                            epoch=s.epoch,
                            ghost=s.epoch,
                            shut=me.shut - WRITES,
                        ),
                    ),
                )
                if bud["lost"]:
                    yield (
                        f"bot{b} replays {op.id}, dies or hears nothing before clearing",
                        st._replace(**after, bud=spend("lost")),
                    )
            else:
                yield (
                    f"bot{b} clears {op.id}",
                    st._replace(
                        bots=bot(
                            b, jr=rest, seen=me.seen + 1 if rest else st.sql.rev, epoch=st.sql.epoch, ghost=st.sql.epoch
                        )
                    ),
                )
        if me.phase and me.phase[0] == "late" and st.up:
            s, bad = apply(st.sql, me.phase[1], True, ru)
            yield (
                f"bot{b} replays late",
                st._replace(
                    sql=s, silent=st.silent or bad, bots=bot(b, phase=None, seen=s.rev, epoch=s.epoch, ghost=s.epoch)
                ),
            )
        if bud["crash"]:
            yield (
                f"bot{b} CRASH",
                st._replace(bud=spend("crash"), bots=bot(b, alive=False, phase=None, shut=frozenset())),
            )
    for n, f, out, rel in (("R", st.R, st.sql.outR, st.relR), ("C", st.C, st.sql.outC, st.relC)):
        name = "redis" if n == "R" else "chroma"
        if st.up and out and rel is None:
            if ru["state_push"]:
                yield f"{name} relay reads SQL", st._replace(**{"rel" + n: (st.sql.val, st.sql.rev, f.gen)})
            else:
                for e in out:
                    v = {"put": e[0], "erase": None}.get(e[0][2:], "-")
                    yield f"{name} relay takes {e[0]}", st._replace(**{"rel" + n: (v, e[1], f.gen, e)})
        if rel and f.up:
            g = wake(f, ru)
            g = g if rel[0] == "-" else put(g, rel[0], rel[1], rel[2], ru, n == "R")
            yield f"{name} relay pushes {rel[0]}, dies before clearing", st._replace(**{n: g, "rel" + n: None})
            if st.up:
                if not ru["state_push"]:
                    left = out - {rel[3]}
                else:
                    stuck = (
                        n == "R" and ru["fence"] and rel[2] != f.gen
                    )  # the push was refused: leave the work in the outbox
                    left = (
                        out
                        if stuck
                        else frozenset(e for e in out if e[1] > rel[1])
                        if ru["clear_by_rev"]
                        else frozenset()
                    )
                yield (
                    f"{name} relay pushes {rel[0]}, clears",
                    st._replace(**{n: g, "rel" + n: None, "sql": st.sql._replace(**{"out" + n: left})}),
                )
    if bud["sql"]:
        yield ("SQL down" if st.up else "SQL up"), st._replace(up=not st.up, bud=spend("sql"))
    elif not st.up:
        yield "SQL up", st._replace(up=True)
    R = st.R
    if bud["redis"] and R.up:
        yield "redis down", st._replace(R=R._replace(up=False), bud=spend("redis"))
        if R.known:
            yield "redis saves", st._replace(R=R._replace(snap=(R.val, R.rev, R.gen)), bud=spend("redis"))
        yield (
            "redis restarts from snapshot",
            st._replace(R=R._replace(val=R.snap[0], rev=R.snap[1], gen=R.snap[2], known=False), bud=spend("redis")),
        )
    if not R.up:
        yield "redis up", st._replace(R=R._replace(up=True))


def misread(st, ru):
    """What is wrong with what the bots read of the counter while SQL answers."""
    for b, me in enumerate(st.bots):
        if me.alive and me.shut & READS:
            return "BLIND"
        waits = [o.id for o in me.jr if o.kind == "inc" and ru["overlay"]]
        shown = [i for i in waits if not ru["overlay_once"] or i not in st.sql.applied]
        own = {a for a in st.acked if a[0] == "AB"[b] and a[2:] == "inc"}
        if me.alive and not own <= {*shown, *st.sql.applied, *(x[1:] for x in st.sql.applied)}:
            return "OWN WRITE NOT SHOWN"
        if me.alive and not st.sql.applied.isdisjoint(shown):
            return "OWN WRITE SHOWN TWICE"
    return None


def check(st, scripts, ru):
    s = st.sql
    if st.silent:
        return st.silent
    if st.up and (wrong := misread(st, ru)):
        return wrong
    if st.up and st.R.up and st.R.val is not None:
        usable = (st.R.known or not ru["flush_on_restart"]) and (st.R.rev == s.rev or not ru["rev_read"])
        if usable and st.R.val != s.val:
            return "READ"
    if st.up and not ru["filter_search"] and st.C.val is not None and st.C.val != s.val:
        return "SEARCH"
    rest = (
        st.up
        and st.R.up
        and not s.outR
        and not s.outC
        and not st.relR
        and not st.relC
        and all(
            b.alive and not b.jr and not b.late and b.phase is None and b.i == len(scripts[k])
            for k, b in enumerate(st.bots)
        )
    )
    if rest:
        for a in st.acked:
            if a not in s.applied:
                after_erase = any(x[0] == a[0] and x[2:] == "erase" and int(x[1]) < int(a[1]) for x in s.applied)
                others_erase = any(x[0] != a[0] and x[0] != "x" and x[2:] == "erase" for x in s.applied)
                if "x" + a not in s.applied or (after_erase and not others_erase):
                    return "ACKED"
        if s.count != sum(x[2:] == "inc" and x[0] != "x" for x in s.applied):
            return "ONCE"
        for f in (st.R, st.C):
            if f.val is not None and (f.known or not ru["flush_on_restart"]) and f.val != s.val:
                return "FOLLOW"
    return None


def explore(scripts, budget, off=(), limit=4_000_000):
    budget = {"late": 0, **budget}
    ru = {k: v and k not in off for k, v in RULES.items()}
    ru["alone"] = len(scripts) == 1 and not budget["crash"]  # a process that died no longer knows what it saw
    E = frozenset()
    f0 = Fol(True, None, 0, (None, 0, 0), True, 0)
    s0 = St(
        True,
        Sql(None, -1, 0, 0, None, E, 0, E, E, E),
        f0,
        f0,
        None,
        None,
        tuple(Bot(True, 0, None, (), 0, 0, 0, None, frozenset()) for _ in scripts),
        E,
        tuple(sorted(budget.items())),
        False,
    )
    seen, todo, edges, rest = {s0: None}, [s0], 0, 0
    while todo:
        nxt = []
        for st in todo:
            bad = check(st, scripts, ru)
            if bad:
                path, x = [], st
                while seen[x]:
                    path.append(seen[x][1])
                    x = seen[x][0]
                return dict(violated=bad, states=len(seen), shortest=path[::-1])
            for label, n in moves(st, scripts, ru):
                edges += 1
                if n not in seen:
                    seen[n] = (st, label)
                    nxt.append(n)
        if len(seen) > limit:
            return dict(violated=None, states=len(seen), edges=edges, cut_off=True)
        todo = nxt
    return dict(violated=None, states=len(seen), edges=edges)


SCENARIOS = {
    "two bots: put | erase, put": ((("put",), ("erase", "put")), dict(crash=0, sql=2, lost=1, redis=0)),
    "two bots: inc, put | erase": ((("inc", "put"), ("erase",)), dict(crash=1, sql=2, lost=0, redis=0)),
    "one bot: put, inc": ((("put", "inc"),), dict(crash=1, sql=2, lost=2, redis=2)),
    "one bot: put, put": ((("put", "put"),), dict(crash=1, sql=2, lost=1, redis=1)),
    "one bot: put, put, late": ((("put", "put"),), dict(crash=1, sql=1, lost=0, redis=0, late=2)),
    "one bot: inc, erase, inc, late": ((("inc", "erase", "inc"),), dict(crash=1, sql=1, lost=0, redis=0, late=1)),
    "one bot: inc, put, inc, a disk stalls": ((("inc", "put", "inc"),), dict(crash=0, sql=0, lost=0, redis=0, late=2)),
    "two bots: put, late | erase": ((("put",), ("erase",)), dict(crash=1, sql=1, lost=0, redis=0, late=1)),
    "one bot: put, erase, put": ((("put", "erase", "put"),), dict(crash=1, sql=1, lost=1, redis=1)),
    "two bots: put | put": ((("put",), ("put",)), dict(crash=1, sql=2, lost=1, redis=1)),
    "two bots: inc, put, put | put": ((("inc", "put", "put"), ("put",)), dict(crash=0, sql=1, lost=1, redis=0)),
}
