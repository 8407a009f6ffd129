"""Other rules for a running engine, between two batches; and rules that fail while the others go on."""

import pytest
from letters import LETTERS, rows, rule_text

import m1cep

PAIR = m1cep.compile_rule("/*\nid: pair\n*/" + rule_text("A B"), LETTERS)
TRIPLE = m1cep.compile_rule("/*\nid: triple\n*/" + rule_text("A B C"), LETTERS)
SUMS = """/*
id: sums
*/
SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '9' SECOND PRECEDING AND CURRENT ROW) AS s
FROM letters QUALIFY s > {}"""
SUM_9 = m1cep.compile_rule(SUMS.format(9), LETTERS)
SUM_4 = m1cep.compile_rule(SUMS.format(4), LETTERS)
#: Where B is missing there is nothing to skip to: the one thing that can fail in SQL at run time.
FAILS = m1cep.compile_rule(
    "/*\nid: fails\n*/" + rule_text("A B? C").replace("PATTERN", "AFTER MATCH SKIP TO FIRST B PATTERN"), LETTERS
)
LISTED = m1cep.compile_rule("/*\nid: listed\n*/ SELECT k FROM letters WHERE IN_LIST('nowhere', k)", LETTERS)


def found(alerts):
    return [(a.rule, a.events) for a in alerts]


def test_what_goes_on_goes_on_and_what_is_new_begins_empty():
    r"""A | B C     triple, pair from the beginning: AB. pair put in after A: it has not seen it
    \ pair is put in here"""
    engine = m1cep.Engine([TRIPLE])
    engine.push("letters", rows("A"))
    engine.replace([PAIR, TRIPLE])
    assert found(engine.push("letters", rows("BC", start=1, times=[1000, 2000]))) == [("triple", ["A0", "B1", "C2"])]
    assert found(engine.push("letters", rows("AB", start=3, times=[3000, 4000]))) == [("pair", ["A3", "B4"])]


def test_another_version_of_a_rule_begins_empty():
    engine = m1cep.Engine([SUM_9])
    engine.push("letters", rows("AB", values=[3, 3]))
    engine.replace([SUM_4])
    assert engine.push("letters", rows("C", times=[2000], values=[3])) == []
    assert [a.row["s"] for a in engine.push("letters", rows("A", start=3, times=[3000], values=[3]))] == [6]


def test_a_rule_that_is_taken_out_is_silent_and_the_others_are_as_before():
    engine = m1cep.Engine([PAIR, TRIPLE])
    engine.push("letters", rows("AB"))
    engine.replace([TRIPLE])
    assert found(engine.push("letters", rows("CAB", start=2, times=[2000, 3000, 4000]))) == [
        ("triple", ["A0", "B1", "C2"])
    ]


def test_without_any_rule_events_are_taken_and_later_rules_begin():
    engine = m1cep.Engine([PAIR], seen=10)
    engine.replace([])
    assert engine.push("letters", rows("AB")) == []
    engine.replace([PAIR])
    assert found(engine.push("letters", rows("AB", start=2, times=[2000, 3000]))) == [("pair", ["A2", "B3"])]


def test_repetitions_are_known_across_a_change():
    engine = m1cep.Engine([PAIR], seen=10)
    engine.push("letters", rows("A"))
    engine.replace([PAIR, TRIPLE])
    engine.push("letters", rows("A"))
    assert engine.duplicates == 1


@pytest.mark.parametrize("bad", [[TRIPLE, LISTED], [TRIPLE, TRIPLE]], ids=["a list is missing", "one id twice"])
def test_rules_that_cannot_run_change_nothing(bad):
    engine = m1cep.Engine([PAIR])
    engine.push("letters", rows("A"))
    with pytest.raises(m1cep.EngineError):
        engine.replace(bad)
    assert found(engine.push("letters", rows("B", start=1, times=[1000]))) == [("pair", ["A0", "B1"])]


TWO = m1cep.parse_streams("""
CREATE TABLE a (event_id STRING, k STRING, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
  PARTITIONED BY (k) WITH ('topic' = 'a');
CREATE TABLE b (event_id STRING, k STRING, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
  PARTITIONED BY (k) WITH ('topic' = 'b');
CREATE VIEW both AS SELECT event_id, k, v, ts FROM a UNION ALL SELECT event_id, k, v, ts FROM b;
""")


def test_what_is_late_for_the_others_is_late_for_a_rule_with_a_source_of_its_own():
    """On a at 10 s, delay 1 s: 8 s is late, also for the rule on the view, which has read nothing of a yet."""
    on_a = m1cep.compile_rule("/*\nid: on-a\n*/ SELECT k FROM a", TWO)
    on_both = m1cep.compile_rule("/*\nid: on-both\n*/ SELECT k FROM both", TWO)
    engine = m1cep.Engine([on_a])
    engine.push("a", [{"event_id": "e1", "k": "x", "v": 1, "ts": 10_000}])
    engine.replace([on_a, on_both])
    engine.push("a", [{"event_id": "e2", "k": "x", "v": 1, "ts": 8_000}])
    assert [late.index for late in engine.take_late()] == [0]
    engine.end("b")
    alerts = [(a.rule, a.events) for a in engine.finish()]
    assert ("on-both", ["e2"]) not in alerts


def test_a_rule_that_fails_is_taken_out_and_the_others_see_every_event_once():
    engine = m1cep.Engine([FAILS, PAIR], isolate=True)
    alone = m1cep.Engine([PAIR])
    events = rows("ABCACABAB")
    assert found(a for a in engine.push("letters", events) if a.rule == "pair") == found(alone.push("letters", events))
    [failure] = engine.take_failures()
    assert failure.rule == "fails"
    assert engine.take_failures() == []
    more = rows("ACAB", start=9, times=[9000, 10_000, 11_000, 12_000])
    assert found(engine.push("letters", more)) == found(alone.push("letters", more))
    assert engine.take_failures() == []
    assert set(engine.counters()) == {"pair"}


def test_a_rule_that_has_failed_runs_again_when_it_is_put_in_again():
    engine = m1cep.Engine([FAILS, PAIR], isolate=True)
    engine.push("letters", rows("AC"))
    engine.take_failures()
    engine.replace([FAILS, PAIR])
    assert ("fails", ["A2", "B3", "C4"]) in found(
        engine.push("letters", rows("ABC", start=2, times=[2000, 3000, 4000]))
    )


def test_without_isolation_a_failure_is_raised():
    with pytest.raises(m1cep.RuleFailure):
        m1cep.Engine([FAILS]).push("letters", rows("AC"))
