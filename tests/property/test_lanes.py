"""A rule over lanes gives the alerts of the same rule over the whole stream, however the lanes interleave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m1cep import Engine, compile_rule, parse_streams
from streams.rekey import over_lanes, rekeyed

STREAMS = parse_streams("""
CREATE TABLE bids (event_id STRING NOT NULL, account STRING, symbol STRING, qty BIGINT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '0.005' SECOND) PARTITIONED BY (account) WITH ('topic' = 'bids');
CREATE TABLE trades (event_id STRING NOT NULL, ticker STRING, venue STRING, qty BIGINT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts) PARTITIONED BY (venue) WITH ('topic' = 'trades');
CREATE VIEW both_sides AS SELECT event_id, symbol, qty, ts FROM bids UNION ALL SELECT event_id, ticker, qty, ts FROM trades;
""")
PATTERN = """MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts MEASURES FIRST(A.event_id) AS a, LAST(B.event_id) AS b
  PATTERN (A+? B) WITHIN INTERVAL '0.05' SECOND DEFINE A AS A.qty > 4, B AS B.qty < 3)"""
ABSENCE = PATTERN.replace("LAST(B.event_id) AS b", "COUNT(*) AS n").replace("A+? B", "A A ABSENT(B)")
RULES = {
    "pattern": f"SELECT * FROM bids {PATTERN}",
    "keyless pattern": f"SELECT * FROM bids {PATTERN.replace('PARTITION BY symbol ', '')}",
    "absence": f"SELECT * FROM bids {ABSENCE}",
    "view": f"SELECT * FROM both_sides {PATTERN}",
    "over": """SELECT symbol, event_id, SUM(qty) OVER (PARTITION BY symbol ORDER BY ts
       RANGE BETWEEN INTERVAL '0.02' SECOND PRECEDING AND CURRENT ROW) AS q FROM bids QUALIFY q > 8""",
    "windows": """SELECT symbol, SUM(qty) AS q FROM TABLE(SESSION(TABLE bids PARTITION BY symbol, DESCRIPTOR(ts),
       INTERVAL '0.01' SECOND)) GROUP BY symbol, window_start, window_end HAVING COUNT(*) > 1""",
    "join": """SELECT b.event_id AS b, t.event_id AS t FROM bids b JOIN trades t ON b.symbol = t.ticker
       AND t.ts BETWEEN b.ts AND b.ts + INTERVAL '0.02' SECOND WHERE b.qty > 3""",
    "join with itself": """SELECT b.event_id AS b, c.event_id AS c FROM bids b JOIN bids c ON b.symbol = c.account
       AND c.ts BETWEEN b.ts AND b.ts + INTERVAL '0.02' SECOND""",
}
LANES = 3


@st.composite
def histories(draw):
    """Events of both streams in order of time, all times different, each with its lane; and cuts of what each lane brings."""
    times = draw(st.lists(st.integers(0, 200), unique=True, max_size=30).map(sorted))
    events = []
    for ts in times:
        stream = draw(st.sampled_from(["bids", "bids", "trades"]))
        name, other = draw(st.sampled_from("xyz")), draw(st.sampled_from("xyz"))
        columns = {"account": name, "symbol": other} if stream == "bids" else {"venue": name, "ticker": other}
        events.append((stream, {"event_id": f"e{ts}", "qty": draw(st.integers(0, 9)), "ts": ts} | columns))
    return [(draw(st.integers(0, LANES - 1)), *e) for e in events]


def whole(rule, events):
    engine, alerts = Engine([rule]), []
    for stream, event in events:
        if stream in engine.inputs:
            alerts += engine.push(stream, [event])
    return alerts + engine.finish()


@pytest.mark.parametrize("name", RULES)
@given(history=histories(), data=st.data())
def test_alerts_are_those_of_the_whole_stream(name, history, data):
    rule = compile_rule(RULES[name], STREAMS, "r.sql")
    inputs = {one.stream.name: one for one in rekeyed(rule)}
    assert set(inputs) == set(rule.streams)
    laned = over_lanes(rule, LANES)
    engine, found = Engine([laned]), []
    # What each lane still has to bring. One after the other brings some of it, and is cut off and restored in between.
    queues = {
        (stream, n): [e for at, s, e in history if (at, s) == (n, stream)] for stream in inputs for n in range(LANES)
    }
    while any(queues.values()):
        (stream, n), queue = data.draw(st.sampled_from([(key, queue) for key, queue in queues.items() if queue]))
        count = data.draw(st.integers(1, len(queue)))
        lane = inputs[stream].lanes(LANES)[n]
        rows = [lane.decoder.convert(event) for event in queue[:count]]
        del queue[:count]
        found += engine.push_rows(lane.name, rows)
        if data.draw(st.booleans()):
            found += engine.reach(lane.name, queue[0]["ts"] if queue else 200)
        if data.draw(st.booleans()):
            engine = Engine.restore([laned], engine.snapshot())
    found += engine.finish()
    assert engine.late_events == 0
    assert sorted(a.to_json() for a in found) == sorted(
        a.to_json() for a in whole(rule, [(s, e) for _, s, e in history])
    )
