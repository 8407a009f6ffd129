"""Following attempts in groups finds what following each by itself finds; the latter is held against the reference."""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from letters import LETTERS, rows, rule_text

import m1cep
from m1cep import rule as compiling
from m1cep.plan.program import compile_program
from m1cep.plan.sharing import way_to_follow

LOOPS = {
    "A+  B": {"B": "B.v > AVG(A.v)"},
    "A{2,} B": {"B": "B.l = 'B' AND B.v >= MIN(A.v)"},
    "A+ B+ C": {"C": "C.v < SUM(B.v) AND C.v > FIRST(A.v)"},
    "A+ B C?": {"A": "A.l <> 'C'", "B": "B.v > MAX(A.v) AND B.v > LAST(A.v, 1)"},
    "A{2,}? (B | C)": {"B": "B.v = COUNT(A.*)", "C": "C.v > FIRST(A.v, 1)"},
    "A+ B* C": {"C": "C.v > STDDEV(A.v) AND C.v <> COUNT(DISTINCT B.v)"},
    "A+ X{2} B": {"B": "B.l <> 'A' AND B.v < AVG(X.v) + AVG(A.v)"},
    "A+ (C A C | B)": {"C": "C.l = 'C' OR C.l = 'B' AND C.v > 2", "B": "B.l = 'B' AND B.v < AVG(A.v)"},
    "A+ B": {"A": "A.l <> 'B' OR A.v > 2", "B": "B.v > 1.1 * AVG(A.v)"},
}
STATIC = ["A+ B", "A{2,} X*? B", "(A | B)+ C", "A B+", "(A+ B?)+? C", "((A+)+ B)", "A (X*? B)?", "A{1,3} B{2,}? X?"]
SKIPS = ["PAST LAST ROW", "TO NEXT ROW"]

letter = st.tuples(
    st.sampled_from("AABC"), st.integers(0, 1500) | st.just(4000), st.one_of(st.none(), st.integers(0, 4))
)


def check(text, letters, monkeypatch, way, cut):
    rule = m1cep.compile_rule(text, LETTERS, "shared")
    assert way_to_follow(rule.plan, compile_program(rule.plan.pattern)) == way
    with monkeypatch.context() as patch:
        patch.setattr("m1cep.codegen.scan.TIDY", 3)  # rows of a test are few
        tidied = m1cep.compile_rule(text, LETTERS, "shared")
    with monkeypatch.context() as patch:
        patch.setattr(compiling, "way_to_follow", lambda *_: "THREADS")
        apart = m1cep.compile_rule(text, LETTERS, "shared")
    events, time = [], 0
    for n, (name, gap, value) in enumerate(letters):
        time += gap
        events.append({"event_id": f"{name}{n}", "k": "k", "l": name, "v": value, "ts": time})
    one = m1cep.Engine([apart])
    expected = one.push("letters", events) + one.finish()
    event("a match" if expected else "no match")
    engine = m1cep.Engine([rule])
    found = engine.push("letters", events[:cut])
    engine = m1cep.Engine.restore([rule], engine.snapshot())
    found += engine.push("letters", events[cut:])
    found += engine.finish()
    assert found == expected
    engine = m1cep.Engine([tidied])
    assert engine.push("letters", events) + engine.finish() == expected


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("within", ["4 SECOND", ""])
@pytest.mark.parametrize("pattern", LOOPS)
def test_conditions_that_look_back_over_runs(pattern, within, skip, monkeypatch):
    text = rule_text(pattern, within=within, measures="COUNT(*) AS n, SUM(A.v) AS s, LAST(A.v) AS l", **LOOPS[pattern])
    text = text.replace("PATTERN (", f"AFTER MATCH SKIP {skip} PATTERN (")

    monkeypatch.setattr("m1cep.runtime.runs._LARGE", 3)  # rows of a test are few

    @settings(max_examples=25, deadline=None)
    @given(st.lists(letter, max_size=25), st.integers(0, 25))
    def holds(letters, cut):
        check(text, letters, monkeypatch, "RUNS", cut)

    holds()


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("within", ["4 SECOND", ""])
@pytest.mark.parametrize("pattern", STATIC)
def test_conditions_on_the_row_alone(pattern, within, skip, monkeypatch):
    text = rule_text(pattern, within=within, measures="COUNT(*) AS n, SUM(A.v) AS s, LAST(A.v) AS l")
    text = text.replace("PATTERN (", f"AFTER MATCH SKIP {skip} PATTERN (")

    @settings(max_examples=25, deadline=None)
    @given(st.lists(letter, max_size=25), st.integers(0, 25))
    def holds(letters, cut):
        check(text, letters, monkeypatch, "GROUPS", cut)

    holds()


@pytest.mark.parametrize(
    "pattern", ["A ABSENT(B)", "A B? ABSENT(C)", "A+ ABSENT(B)", "A (B ABSENT(C) | C)", "A B*? ABSENT(C)"]
)
def test_absence(pattern, monkeypatch):
    text = rule_text(pattern, within="3 SECOND", measures="COUNT(*) AS n, SUM(A.v) AS s, LAST(A.v) AS l")

    @settings(max_examples=80, deadline=None)
    @given(st.lists(letter, max_size=25), st.integers(0, 25))
    def holds(letters, cut):
        check(text, letters, monkeypatch, "GROUPS", cut)

    holds()


OWN_ROWS = {
    "all attempts before ran out of time": ("A+ B", "AAAB", [0, 1, 5000, 5500], [0, 0, 1, 2], {"B": "B.v > AVG(A.v)"}),
    "an older attempt goes on in other rows": (
        "A+ (C A C | B)",
        "ABAB",
        [0, 1, 2, 3],
        [9, 10, 9, 2],
        {"C": "C.l = 'C' OR C.l = 'B' AND C.v > 5", "B": "B.l = 'B' AND B.v < AVG(A.v)"},
    ),
}


@pytest.mark.parametrize(("pattern", "text", "times", "values", "define"), OWN_ROWS.values(), ids=list(OWN_ROWS))
def test_an_attempt_is_asked_for_its_own_rows(pattern, text, times, values, define):
    rule = m1cep.compile_rule(rule_text(pattern, within="4 SECOND", **define), LETTERS, "shared")
    assert way_to_follow(rule.plan, compile_program(rule.plan.pattern)) == "RUNS"
    engine = m1cep.Engine([rule])
    found = engine.push("letters", rows(text, times=times, values=values)) + engine.finish()
    assert [alert.events for alert in found] == [["A2", "B3"]]
