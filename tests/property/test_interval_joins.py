"""Interval joins against a nested loop over all rows: the same alerts, in the same order, with ids of their own."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import m1cep

STREAMS = m1cep.parse_streams(
    """
    CREATE TABLE a (event_id STRING NOT NULL, k STRING NOT NULL, g BIGINT, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
      PARTITIONED BY (k) WITH ('topic' = 'a');
    CREATE TABLE b (event_id STRING NOT NULL, k STRING NOT NULL, g DOUBLE, v DOUBLE, at TIMESTAMP(3),
      WATERMARK FOR at AS at - INTERVAL '2' SECOND) PARTITIONED BY (k) WITH ('topic' = 'b');
    CREATE VIEW both_ AS SELECT event_id, k, v, 'a' AS src, ts FROM a
      UNION ALL SELECT event_id, k, v, 'b' AS src, at AS ts FROM b;
    """
)
SELECT = "SELECT x.v AS x, y.v AS y"


@dataclass(frozen=True)
class Case:
    """A rule, and the same in words that a nested loop understands. Bounds in ms on the right row's time less the left's."""

    sql: str
    left: str
    right: str
    lower: int
    upper: int
    key: tuple[str, ...] = ("k",)
    on: Any = lambda _x, _y: True
    where: Any = lambda _x, _y: True
    outer: bool = False
    suppress: int | None = None


def less(p, q):
    return p is not None and q is not None and p < q


CASES = [
    Case("FROM a x JOIN b y ON x.k = y.k AND y.at BETWEEN x.ts AND x.ts + INTERVAL '2' SECOND", "a", "b", 0, 2000),
    Case(
        "FROM a x, b y WHERE x.k = y.k AND x.g = y.g AND y.at > x.ts - INTERVAL '2' SECOND AND y.at <= x.ts + INTERVAL '1' SECOND"
        " AND x.v < y.v AND x.v > 1",
        "a",
        "b",
        -1999,
        1000,
        key=("k", "g"),
        where=lambda x, y: less(x["v"], y["v"]) and less(1, x["v"]),
    ),
    Case(
        "FROM b x JOIN a y ON x.k = y.k AND x.at - y.ts BETWEEN INTERVAL '1' SECOND AND INTERVAL '3' SECOND AND y.v > 1",
        "b",
        "a",
        -3000,
        -1000,
        where=lambda _, y: less(1, y["v"]),
    ),
    Case(
        "FROM a x JOIN a y ON x.k = y.k AND y.ts BETWEEN x.ts - INTERVAL '1' SECOND AND x.ts + INTERVAL '1' SECOND"
        " AND x.v <= y.v",
        "a",
        "a",
        -1000,
        1000,
        on=lambda x, y: x["v"] is not None and y["v"] is not None and x["v"] <= y["v"],
    ),
    Case(
        "FROM both_ x JOIN both_ y ON x.k = y.k AND y.ts > x.ts AND y.ts < x.ts + INTERVAL '2' SECOND WHERE x.src <> y.src",
        "both_",
        "both_",
        1,
        1999,
        where=lambda x, y: x["src"] != y["src"],
    ),
    Case(
        "FROM a x JOIN both_ y ON x.k = y.k AND y.ts >= x.ts - INTERVAL '1' SECOND AND y.ts <= x.ts AND x.event_id <> y.event_id",
        "a",
        "both_",
        -1000,
        0,
        on=lambda x, y: x["event_id"] != y["event_id"],
    ),
    Case(
        "FROM a x LEFT JOIN b y ON x.k = y.k AND y.at BETWEEN x.ts AND x.ts + INTERVAL '2' SECOND AND x.v < y.v",
        "a",
        "b",
        0,
        2000,
        on=lambda x, y: less(x["v"], y["v"]),
        outer=True,
    ),
    Case(
        "FROM a x LEFT JOIN b y ON x.g = y.g AND x.k = y.k AND y.at BETWEEN x.ts - INTERVAL '1' SECOND AND x.ts + INTERVAL '1'"
        " SECOND AND x.v < y.v AND y.v > 1 WHERE y.g IS NULL AND x.v IS NOT NULL",
        "a",
        "b",
        -1000,
        1000,
        key=("g", "k"),
        on=lambda x, y: less(x["v"], y["v"]) and less(1, y["v"]),
        where=lambda x, y: y is None and x["v"] is not None,
        outer=True,
    ),
    Case(
        "FROM a x LEFT JOIN b y ON x.k = y.k AND y.at BETWEEN x.ts - INTERVAL '3' SECOND AND x.ts - INTERVAL '1' SECOND"
        " WHERE y.v IS NULL OR x.v > y.v",
        "a",
        "b",
        -3000,
        -1000,
        where=lambda x, y: y is None or y["v"] is None or less(y["v"], x["v"]),
        outer=True,
    ),
    Case(
        "FROM a x LEFT JOIN a y ON x.k = y.k AND y.ts > x.ts AND y.ts <= x.ts + INTERVAL '1' SECOND WHERE y.event_id IS NULL",
        "a",
        "a",
        1,
        1000,
        where=lambda _, y: y is None,
        outer=True,
        suppress=2000,
    ),
    Case(
        "FROM a x LEFT JOIN b y ON x.k = y.k AND y.at BETWEEN x.ts + INTERVAL '1' SECOND AND x.ts + INTERVAL '2' SECOND",
        "a",
        "b",
        1000,
        2000,
        outer=True,
        suppress=1500,
    ),
]
RULES = [
    m1cep.compile_rule(
        f"/*\n{'' if c.suppress is None else f'suppress: {c.suppress} ms'}\n*/ {SELECT} {c.sql}", STREAMS, f"r{n}"
    )
    for n, c in enumerate(CASES)
]


def test_the_bounds_are_understood():
    assert [(r.plan.lower, r.plan.upper) for r in RULES] == [(c.lower, c.upper) for c in CASES]
    assert [n for n, r in enumerate(RULES) if r.plan.absence] == [7, 9]


def sides(case, stream, row):
    """What one event is to a join: its left row or None, its right row or None; one entry a position of the source."""
    views = {name: row | {"src": stream} for name in (stream, "both_")}
    left, right = views.get(case.left), views.get(case.right)
    if case.left == case.right:
        return [(left, right)] if left else []
    return [(row, None) for row in (left,) if row] + [(None, row) for row in (right,) if row]


def nested_loop(case, events):
    """All (ids, key, row, event time) in the order in which they are decided."""
    lefts, rights, found = [], [], []
    entries = [entry for stream, row in events for entry in sides(case, stream, row)]
    for position, (left, right) in enumerate(entries):
        lefts += [(position, left)] if left else []
        rights += [(position, right)] if right else []
    for p, x in lefts:
        partners = [
            (q, y)
            for q, y in rights
            if case.lower <= y["ts"] - x["ts"] <= case.upper
            and all(x[k] is not None and x[k] == y[k] for k in case.key)
            and case.on(x, y)
        ]
        for q, y in partners:
            if case.where(x, y):
                ids = [row["event_id"] for row in sorted((x, y), key=lambda r: r["ts"])]
                order = (max(x["ts"], y["ts"]), 1, max(p, q), p < q or p == q, min(p, q))
                found.append((order, x, ids, y["v"], order[0]))
        if case.outer and not partners and case.where(x, None):
            late = case.upper < 0
            time = x["ts"] if late else x["ts"] + case.upper + 1
            found.append(((time, int(late), p, False, 0), x, [x["event_id"]], None, time))
    quiet, alerts = {}, []
    for _, x, ids, v, time in sorted(found, key=lambda f: f[0]):
        key = {k: x[k] for k in case.key}
        if case.suppress is not None and time < quiet.get(str(key), time):
            continue
        quiet[str(key)] = time + (case.suppress or 0)
        alerts.append((ids, key, {"x": x["v"], "y": v}, time))
    return alerts


def seen(alerts, rule):
    return [(a.events, a.key, a.row, a.event_time) for a in alerts if a.rule == rule]


event = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from([0, 0, 0, 1, 300, 999, 1000, 1001, 2000, 3001]),  # ms after the one before
    st.sampled_from("kkq"),
    st.sampled_from([1, 1, 2, None]),
    st.sampled_from([0.0, 1.0, 2.0, None]),
)
cut = st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans())


def events_of(drawn):
    time, found = 0, []
    for n, (stream, gap, key, group, value) in enumerate(drawn):
        time += gap
        found.append((stream, {"event_id": f"e{n}", "k": key, "g": group, "v": value, "ts": time}))
    return found


def pushed(engine, stream, rows):
    return engine.push(stream, [row | {"at": row["ts"]} for row in rows])


@settings(max_examples=250, deadline=None)
@given(st.lists(event, max_size=24), st.lists(cut, max_size=12))
def test_a_join_finds_what_a_nested_loop_finds(drawn, cuts):
    events = events_of(drawn)
    by_stream = {name: [row for stream, row in events if stream == name] for name in "ab"}
    engine, found, at = m1cep.Engine(RULES), [], {"a": 0, "b": 0}
    for *counts, again in [*cuts, (len(events), len(events), False)]:
        for name, count in zip("ab", counts, strict=True):
            found += pushed(engine, name, by_stream[name][at[name] : at[name] + count])
            at[name] += count
        if again:
            engine = m1cep.Engine.restore(RULES, engine.snapshot())
    found += engine.finish()
    for case, rule in zip(CASES, RULES, strict=True):
        # rows of one time: those of the first stream of the rule first
        merged = sorted(events, key=lambda e: (e[1]["ts"], rule.streams.index(e[0]) if e[0] in rule.streams else 0))
        assert seen(found, rule.id) == nested_loop(case, merged), case.sql
    assert len({a.id for a in found}) == len(found)
    assert all(n == 0 for c in engine.counters().values() for what, n in c.items() if what in {"waiting", "keys"})


@settings(max_examples=100, deadline=None)
@given(st.lists(event, max_size=24), st.lists(st.sampled_from(["a", "b", "idle a", "idle b", "again"]), max_size=40))
def test_a_stream_that_rests_costs_only_what_comes_late(drawn, steps):
    """What an idle stream brings too late is no row of the join; all others pair as ever. The order of ties is left open."""
    events = events_of(drawn)
    waiting = {name: [row for stream, row in events if stream == name] for name in "ab"}
    for case, rule in zip(CASES, RULES, strict=True):
        if case.suppress is not None:
            continue
        engine, found, late = m1cep.Engine([rule]), [], set()
        rest = {name: list(rows) for name, rows in waiting.items()}
        for step in [*steps, *"ab" * len(events)]:
            late |= {row.row.event_id for row in engine.take_late()}
            if step == "again":
                engine = m1cep.Engine.restore([rule], engine.snapshot())
            elif step.startswith("idle"):
                found += engine.idle(step[-1])
            elif rest[step]:
                found += pushed(engine, step, [rest[step].pop(0)])
        found += engine.finish()
        late |= {row.row.event_id for row in engine.take_late()}
        kept = [e for e in sorted(events, key=lambda e: e[1]["ts"]) if e[1]["event_id"] not in late]
        assert sorted(map(str, seen(found, rule.id))) == sorted(map(str, nested_loop(case, kept))), case.sql
