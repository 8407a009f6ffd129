"""Repetitions within the window change nothing but their count, whatever the batch cuts and wherever the engine is restored."""

from hypothesis import given
from hypothesis import strategies as st
from letters import LETTERS, rule_text

import m1cep

WINDOW = 6
RULES = [
    m1cep.compile_rule(text, LETTERS, name)
    for name, text in {
        "pair": rule_text("A X*? B", within="4 SECOND"),
        "sum": """SELECT k, SUM(v) OVER
            (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '3' SECOND PRECEDING AND CURRENT ROW) AS s
            FROM letters QUALIFY s > 4""",
    }.items()
]

letter = st.tuples(st.sampled_from("ABC"), st.sampled_from("kq"), st.integers(-300, 1500), st.integers(0, 5))
# After an event: how many events back those lie that come again.
again = st.lists(st.integers(0, WINDOW - 1), max_size=3)


@given(st.lists(st.tuples(letter, again), max_size=40), st.lists(st.integers(1, 9), max_size=60))
def test_repetitions_change_nothing_but_their_count(letters, cuts):
    events, doubled, time = [], [], 100_000
    for n, ((name, key, gap, value), back) in enumerate(letters):
        time += gap  # also backwards: late events, too, come twice
        events.append({"event_id": f"e{n}", "k": key, "l": name, "v": value, "ts": time})
        doubled.append(events[-1])
        doubled += [events[n - b] for b in back if b <= n]
    once = m1cep.Engine(RULES)
    expected = once.push("letters", events)
    late = [row.row.event_id for row in once.take_late()]
    cutting, restored = m1cep.Engine(RULES, seen=WINDOW), m1cep.Engine(RULES, seen=WINDOW)
    found, found_restored, found_late, at = [], [], [], 0
    for cut in [*cuts, len(doubled)]:
        batch = doubled[at : at + cut]
        at += cut
        found += cutting.push("letters", batch)
        for row in cutting.take_late():
            assert batch[row.index]["event_id"] == row.row.event_id
            found_late.append(row.row.event_id)
        found_restored += restored.push("letters", batch)
        restored = m1cep.Engine.restore(RULES, restored.snapshot(), seen=WINDOW)
    for engine, alerts in ((cutting, found), (restored, found_restored)):
        assert alerts == expected
        assert engine.finish() == m1cep.Engine.restore(RULES, once.snapshot()).finish()
        assert (engine.events, engine.duplicates) == (len(events), len(doubled) - len(events))
        assert engine.late_events == once.late_events
    assert found_late == late
