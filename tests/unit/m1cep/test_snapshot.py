"""An engine's memory as bytes: what it goes on with, and what is refused."""

import pytest
from letters import LETTERS, rows, rule_text

import m1cep

PAIR = "/*\nid: pair\n*/" + rule_text("A X*? B")
TRIPLE = "/*\nid: triple\n*/" + rule_text("A B C")
SUM = """/*
id: sum
suppress: 2 s
*/
SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '5' SECOND PRECEDING AND CURRENT ROW) AS s
FROM letters QUALIFY s > 2"""


def compiled(*texts):
    return [m1cep.compile_rule(text, LETTERS) for text in texts]


def taken(rules, text="AB"):
    engine = m1cep.Engine(rules)
    engine.push("letters", rows(text))
    return engine.snapshot()


def refused(rules, blob, **options):
    with pytest.raises(m1cep.EngineError) as caught:
        m1cep.Engine.restore(rules, blob, **options)
    return str(caught.value)


def test_it_goes_on_where_it_was_whatever_the_order_of_the_rules():
    rules = compiled(TRIPLE, SUM, PAIR)
    engine = m1cep.Engine(rules)
    before = engine.push("letters", rows("AAB"))
    again = m1cep.Engine.restore(rules[::-1], engine.snapshot())
    later = rows("CXB", start=3, times=[3000, 4000, 9000])
    assert again.counters()["sum"] == engine.counters()["sum"]
    assert {a.id for a in again.push("letters", later)} == {a.id for a in engine.push("letters", later)}
    assert {a.rule for a in before} == {"pair", "sum"}
    assert again.events == engine.events == 6


def test_the_same_engine_has_the_same_bytes():
    assert taken(compiled(PAIR, SUM)) == taken(compiled(PAIR, SUM))


def test_rows_that_wait_for_the_watermark_are_part_of_it():
    ddl = """CREATE TABLE letters (event_id STRING, k STRING, l STRING, v DOUBLE, ts TIMESTAMP(3),
        WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) PARTITIONED BY (k) WITH ('topic' = 'letters')"""
    [rule] = [m1cep.compile_rule(PAIR, m1cep.parse_streams(ddl))]
    engine = m1cep.Engine([rule])
    assert engine.push("letters", rows("AB")) == []
    [alert] = m1cep.Engine.restore([rule], engine.snapshot()).finish()
    assert alert.events == ["A0", "B1"]


def test_other_rules_are_refused_by_name():
    message = refused(compiled(PAIR, SUM.replace("> 2", "> 3")), taken(compiled(PAIR, TRIPLE, SUM)))
    assert "sum is another version" in message
    assert "triple is gone" in message
    assert "changed=True" in message
    assert "pair" not in message


def test_rules_that_did_not_change_are_taken_over_when_asked():
    blob = taken(compiled(PAIR, SUM), "A")
    engine = m1cep.Engine.restore(compiled(PAIR, TRIPLE), blob, changed=True)
    [alert] = engine.push("letters", rows("B", times=[1000]))
    assert alert.events == ["A0", "B0"]


def test_other_declarations_are_refused():
    blob = taken(compiled(PAIR))
    text = """CREATE TABLE letters (event_id STRING NOT NULL, k STRING NOT NULL, l STRING NOT NULL, v BIGINT,
        ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts AS ts) PARTITIONED BY (k) WITH ('topic' = 'letters')"""
    rule = m1cep.compile_rule(PAIR, m1cep.parse_streams(text))
    assert "another declaration of letters" in refused([rule], blob).replace("'", "")
    assert m1cep.Engine.restore([rule], blob, changed=True).counters()["pair"]["open"] == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: b"", "expected a snapshot"),
        (lambda _: b"{}", "expected a snapshot"),
        (lambda b: b[:5] + b"\x63" + b[6:], "version 99"),
        (lambda b: b[:-4], "damaged"),
        (lambda b: b[:7] + b"\xff\xff" + b[9:], "damaged"),
    ],
)
def test_bytes_that_are_no_snapshot_are_refused(damage, message):
    rules = compiled(PAIR)
    assert message in refused(rules, damage(taken(rules)))


def test_keys_beyond_many_are_packed_and_go_on():
    [rule] = compiled("/*\nid: pair\n*/" + rule_text("A B", measures="A.v AS v", within="1 HOUR"))
    engine = m1cep.Engine([rule])
    keys = 25_000
    for start in range(0, keys, 5_000):
        events = [{"event_id": f"a{n}", "k": f"k{n}", "l": "A", "v": n, "ts": n} for n in range(start, start + 5_000)]
        assert engine.push("letters", events) == []
    assert engine.counters()["pair"]["keys"] == keys
    blob = engine.snapshot()
    for running in (engine, m1cep.Engine.restore([rule], blob)):
        [first, last] = running.push(
            "letters",
            [{"event_id": f"b{n}", "k": f"k{n}", "l": "B", "v": 0, "ts": keys + n} for n in (3, keys - 1)],
        )
        assert [first.row["v"], last.row["v"]] == [3.0, keys - 1.0]
        assert first.events == ["a3", "b3"]
        assert running.counters()["pair"]["keys"] == keys - 2
        running.push("letters", [{"event_id": "x", "k": "other", "l": "X", "v": 0, "ts": keys + 3_600_000}])
        assert running.counters()["pair"]["keys"] == 0
