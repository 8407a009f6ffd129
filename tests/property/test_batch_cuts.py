"""However the events are cut into batches, and wherever the engine is stopped and restored, the alerts are the same, in the same
order, with the same ids.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from letters import LETTERS, rule_text

import m1cep

RULES = [
    rule_text("A X*? B", within="4 SECOND"),
    rule_text("A B+", within="3 SECOND"),
    rule_text("A+ B", B="B.v > AVG(A.v)", within="6 SECOND"),
    rule_text("(A | B){2,} C?", measures="SUM(A.v) AS a, COUNT(B.*) AS b", within="5 SECOND"),
    rule_text("A B X*? C", B="B.v >= A.v", within="3 SECOND"),
    rule_text("A{2,} X*? (B | C)+ A", A="A.v >= FIRST(A.v)", within=""),
    "SELECT k, l FROM letters WHERE l <> 'C' AND v > 2",
    """SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '3' SECOND PRECEDING AND CURRENT ROW) AS s
       FROM letters QUALIFY s > 4""",
    """/*
    suppress: 2 s
    */
    SELECT k, COUNT(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '3' SECOND PRECEDING AND CURRENT ROW) AS n
    FROM letters QUALIFY n > 2""",
    *(
        f"""SELECT k, window_end AS e, COUNT(*) AS n, SUM(v) AS s FROM TABLE({windows}) WHERE l <> 'C'
        GROUP BY k, window_start, window_end HAVING COUNT(*) > 1"""
        for windows in (
            "TUMBLE(TABLE letters, DESCRIPTOR(ts), INTERVAL '3' SECOND)",
            "HOP(TABLE letters, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '3' SECOND)",
            "CUMULATE(TABLE letters, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '3' SECOND)",
            "SESSION(TABLE letters PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' SECOND)",
        )
    ),
]
COMPILED = [m1cep.compile_rule(text, LETTERS, f"r{n}") for n, text in enumerate(RULES)]

letter = st.tuples(st.sampled_from("ABC"), st.sampled_from("kq"), st.integers(0, 1500), st.integers(0, 5))


@settings(max_examples=300, deadline=None)
@given(st.lists(letter, max_size=40), st.lists(st.integers(1, 7), max_size=40))
def test_batch_cuts_change_nothing(letters, cuts):
    events, time = [], 0
    for n, (name, key, gap, value) in enumerate(letters):
        time += gap
        events.append({"event_id": f"e{n}", "k": key, "l": name, "v": value, "ts": time})
    whole = m1cep.Engine(COMPILED)
    expected = whole.push("letters", events) + whole.finish()
    engine, found, at = m1cep.Engine(COMPILED), [], 0
    for cut in [*cuts, len(events)]:
        found += engine.push("letters", events[at : at + cut])
        at += cut
    found += engine.finish()
    assert found == expected
    engine, found, at = m1cep.Engine(COMPILED), [], 0
    for cut in [*cuts, len(events)]:
        found += engine.push("letters", events[at : at + cut])
        at += cut
        engine = m1cep.Engine.restore(COMPILED, engine.snapshot())
    found += engine.finish()
    assert found == expected
    assert len({a.id for a in found}) == len(found)


@settings(max_examples=100, deadline=None)
@given(st.lists(letter, max_size=40), st.lists(st.integers(1, 9), max_size=40))
def test_rules_together_find_what_each_finds_alone(letters, cuts):
    """Together they are called only for rows that may matter to them, found by constants and by keys in memory."""
    events, time = [], 0
    for n, (name, key, gap, value) in enumerate(letters):
        time += gap
        events.append({"event_id": f"e{n}", "k": f"{key}{n % 7}", "l": name, "v": value, "ts": time})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("m1cep.runtime.matcher._MANY", 1)  # keys are packed as soon as they rest
        together, found, at = m1cep.Engine(COMPILED), [], 0
        for cut in [*cuts, len(events)]:
            found += together.push("letters", events[at : at + cut])
            at += cut
        found += together.finish()
    for rule in COMPILED:
        alone = m1cep.Engine([rule])
        assert [a for a in found if a.rule == rule.id] == alone.push("letters", events) + alone.finish()
