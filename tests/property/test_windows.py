"""Windows and frames against an obvious recomputation from all rows of each, with the state saved and loaded anywhere."""

import math
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

import m1cep
from m1cep.model.pack import pack, unpack
from m1cep.runtime.batch import Batch

STREAMS = m1cep.parse_streams(
    """
    CREATE TABLE s (
      event_id STRING NOT NULL, k STRING, l STRING NOT NULL, n BIGINT, v DOUBLE, d DECIMAL(12, 2), ts TIMESTAMP(3) NOT NULL,
      WATERMARK FOR ts AS ts
    ) PARTITIONED BY (k) WITH ('topic' = 's')
    """
)
ROW = STREAMS["s"].row_type
AGGREGATES = {
    "rows": "COUNT(*)",
    "a": "COUNT(*) FILTER (WHERE l = 'A')",
    "n_sum": "SUM(n)",
    "n_avg": "AVG(n)",
    "n_different": "SUM(DISTINCT n)",
    "v_count": "COUNT(v)",
    "v_sum": "SUM(v)",
    "v_avg": "AVG(v)",
    "v_low": "MIN(v)",
    "v_high": "MAX(v) FILTER (WHERE l <> 'B')",
    "v_dev": "STDDEV(v)",
    "v_var": "VAR_POP(v)",
    "d_sum": "SUM(d)",
    "d_dev": "STDDEV_POP(d)",
    "letters": "COUNT(DISTINCT l)",
}

event = st.tuples(
    st.sampled_from(["p", "p", "p", "q", None]),
    st.sampled_from("ABC"),
    st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.sampled_from([0.1, 1e16, -1e16, 1.7e308, 5e-324]), st.floats(-1e6, 1e6)),
    st.one_of(st.none(), st.decimals(-1000, 1000, places=2), st.decimals(-9, 9, places=1)),
    st.integers(0, 6),
)
events = st.integers(0, 40).flatmap(
    lambda n: st.lists(event, min_size=n, max_size=n)
)  # long ones as often as short ones
cuts = st.lists(st.integers(1, 9), max_size=20)


def rows_of(found):
    rows, time = [], 0
    for i, (k, letter, n, v, d, gap) in enumerate(found):
        time += gap
        rows.append(ROW(event_id=f"e{i}", k=k, l=letter, n=n, v=v, d=d, ts=time))
    return rows


def variance(values, less):
    if len(values) <= less:
        return None
    mean = Fraction(sum(values)) / len(values)
    try:
        return float(sum((x - mean) ** 2 for x in values) / (len(values) - less))
    except OverflowError:
        return None


def root(x):
    return None if x is None else math.sqrt(x)


def double_sum(values):
    try:
        return float(sum(map(Fraction, values)))
    except OverflowError:
        return None


def expected(rows):
    """Every aggregate, from the rows of one window."""
    ns = [r.n for r in rows if r.n is not None]
    vs = [r.v for r in rows if r.v is not None]
    ds = [r.d for r in rows if r.d is not None]
    high = [r.v for r in rows if r.v is not None and r.l != "B"]
    total = double_sum(vs)
    return {
        "rows": len(rows),
        "a": sum(r.l == "A" for r in rows),
        "n_sum": sum(ns) if ns else None,
        "n_avg": sum(ns) / len(ns) if ns else None,
        "n_different": sum(set(ns)) if ns else None,
        "v_count": len(vs),
        "v_sum": total if vs else None,
        "v_avg": total / len(vs) if vs and total is not None else None,
        "v_low": min(vs, default=None),
        "v_high": max(high, default=None),
        "v_dev": root(variance(list(map(Fraction, vs)), 1)),
        "v_var": variance(list(map(Fraction, vs)), 0),
        "d_sum": sum(ds) if ds else None,
        "d_dev": root(variance([Fraction(float(d)) for d in ds], 0)),
        "letters": len({r.l for r in rows}),
    }


def run(rule, rows, sizes):
    """Hits of a rule; after every batch the operator is replaced by a fresh one with its state."""
    operator, hits, at = rule.start(rule.module), [], 0
    for size in [*sizes, len(rows)]:
        batch = rows[at : at + size]
        if not batch:
            break
        operator.feed(Batch(batch, at), hits, alone=at % 2 == 0)
        at += len(batch)
        operator.advance(batch[-1].ts, hits)
        state = unpack(pack(operator.state()))
        operator = rule.start(rule.module)
        operator.load(state)
        assert unpack(pack(operator.state())) == state
    operator.finish(hits)
    return sorted(hits, key=lambda h: (h.time, h.by_row, h.position))


# group windows


def windows_of(shape, rows):
    """Windows as (start, end, rows of it), from the definition."""
    kind, size, slide, offset = shape
    last = max((r.ts for r in rows), default=0)
    first = -(last + 2 * size + slide)
    if kind == "SESSION":
        return [w for k in {r.k for r in rows} for w in sessions([r for r in rows if r.k == k], size)]
    found = []
    if kind == "CUMULATE":
        for n in range(first // size - 2, last // size + 2):
            begin = n * size + offset
            found += [(begin, begin + step) for step in range(slide, size + 1, slide)]
    else:
        found = [(n * slide + offset, n * slide + offset + size) for n in range(first // slide - 2, last // slide + 2)]
    return [(a, b, [r for r in rows if a <= r.ts < b]) for a, b in found]


def sessions(rows, gap):
    groups = []
    for row in rows:
        if groups and row.ts - groups[-1][-1].ts <= gap:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [(g[0].ts, g[-1].ts + gap, g) for g in groups]


@st.composite
def shapes(draw):
    kind = draw(st.sampled_from(["TUMBLE", "HOP", "CUMULATE", "SESSION"]))
    slide, offset = draw(st.integers(1, 7)), draw(st.integers(0, 9))
    if kind == "SESSION":
        return kind, slide, slide, 0
    size = {"TUMBLE": slide, "HOP": draw(st.integers(1, 15)), "CUMULATE": slide * draw(st.integers(1, 4))}[kind]
    return kind, size, slide, offset


def window_rule(shape):
    kind, size, slide, offset = shape
    steps = {"TUMBLE": [size], "SESSION": [size]}.get(kind, [slide, size]) + ([offset] if offset else [])
    arguments = ", ".join(f"INTERVAL '{n}' MILLISECOND" for n in steps)
    partition = "PARTITION BY k" if kind == "SESSION" else ""
    columns = ", ".join(f"{sql} AS {name}" for name, sql in AGGREGATES.items())
    text = f"""SELECT k, window_start AS opened, window_end AS closed, {columns}
      FROM TABLE({kind}(TABLE s {partition}, DESCRIPTOR(ts), {arguments})) WHERE l <> 'C'
      GROUP BY window_start, k, window_end"""
    return m1cep.compile_rule(text, STREAMS)


@settings(max_examples=150, deadline=None)
@given(shapes(), events, cuts)
def test_group_windows(shape, found, sizes):
    rows = rows_of(found)
    wanted = []
    for start, end, inside in windows_of(shape, rows):
        counted = [r for r in inside if r.l != "C"]
        for k in dict.fromkeys(r.k for r in counted):
            own = [r for r in counted if r.k == k]
            row = {"k": k, "opened": start, "closed": end} | expected(own)
            wanted.append((end, rows.index(own[0]), row, [r.event_id for r in own]))
    wanted.sort(key=lambda w: w[:2])
    hits = run(window_rule(shape), rows, sizes)
    assert [(h.row["closed"], h.position, h.row, h.events) for h in hits] == wanted
    assert all(h.event_time == h.row["closed"] - 1 for h in hits)
    assert [str(h.row) for h in hits] == [str(h.row) for h in run(window_rule(shape), rows, [])]


# OVER


FRAMES = {
    "r5": ("RANGE BETWEEN INTERVAL '5' MILLISECOND PRECEDING AND CURRENT ROW", 5, None),
    "r0": ("RANGE BETWEEN INTERVAL '0' MILLISECOND PRECEDING AND CURRENT ROW", 0, None),
    "n2": ("ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", None, 2),
}


def over_rule(frame):
    over = f"OVER (PARTITION BY k ORDER BY ts {FRAMES[frame][0]})"
    columns = ", ".join(f"{sql} {over} AS {name}" for name, sql in AGGREGATES.items())
    lag = "LAG(v, 2) OVER (PARTITION BY k ORDER BY ts) AS lag2"
    other = "COUNT(v) OVER (PARTITION BY k ORDER BY ts ROWS 3 PRECEDING) AS other"
    return m1cep.compile_rule(f"SELECT k, {columns}, {lag}, {other} FROM s WHERE l <> 'C' OR n > 0", STREAMS)


OVER_RULES = {frame: over_rule(frame) for frame in FRAMES}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(FRAMES)), events, cuts)
def test_over(frame, found, sizes):
    rows = rows_of(found)
    _, span, count = FRAMES[frame]
    counted = [r for r in rows if r.l != "C" or (r.n is not None and r.n > 0)]
    wanted = []
    for i, row in enumerate(counted):
        before = [r for r in counted[: i + 1] if r.k == row.k]
        inside = before[-count - 1 :] if span is None else [r for r in before if r.ts >= row.ts - span]
        lagged = before[-3].v if len(before) > 2 else None
        other = [r for r in before[-4:] if r.v is not None]
        wanted.append({"k": row.k} | expected(inside) | {"lag2": lagged, "other": len(other)})
        ids = [r.event_id for r in before if r in inside or r in other or (r is before[-3:][0] and len(before) > 2)]
        wanted[-1] |= {"ids": ids}
    hits = run(OVER_RULES[frame], rows, sizes)
    assert [h.row | {"ids": h.events} for h in hits] == wanted
    assert [str(h.row) for h in hits] == [str(h.row) for h in run(OVER_RULES[frame], rows, [])]
