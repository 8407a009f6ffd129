"""Whatever the text, a rule or a declaration is understood or refused: with its place, a caret, and nothing else raised.

What is understood runs: over a few events, some of them of NULLs and extremes, without a failure.
M1CEP_MUTANTS sets how many mutants are tried (default 1,500), M1CEP_SEED which.
"""

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from letters import LETTERS, rule_text
from mutants import WORDS, mutant

import m1cep
from m1cep.runtime.lookups import LISTS
from streams.files import load_rules, load_streams, packaged_rules_dir, read_text
from streams.lookups import load_lookups

MUTANTS = int(os.environ.get("M1CEP_MUTANTS", "1500"))
SEED = os.environ.get("M1CEP_SEED", "1")
DDL = read_text(packaged_rules_dir() / "streams.sql")
OWN = """CREATE TABLE t (k STRING NOT NULL, i BIGINT, n INT, x DOUBLE, d DECIMAL(10, 2), t STRING, b BOOLEAN, u TIMESTAMP(6),
  tags ARRAY<STRING>, m MAP<STRING, BIGINT>, address ROW<country STRING>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) PARTITIONED BY (k) WITH ('topic' = 't')"""
STREAMS = load_streams() | m1cep.parse_streams(OWN) | LETTERS
PACKAGED = [rule.text for rule in load_rules(None, STREAMS)]
EXPRESSIONS = [
    "i + n * 2 - x / 3 > d",
    "t LIKE 'a%' ESCAPE '!' AND t NOT IN ('x', 'y')",
    "CASE i WHEN 1 THEN 'one' ELSE UPPER(t) END = t",
    "COALESCE(x, i, 0) BETWEEN LEAST(i, n) AND GREATEST(x, 5)",
    "ROUND(x, n) = FLOOR(x) OR MOD(i, n) = POWER(x, 2)",
    "EXTRACT(HOUR FROM u) > 5 AND ts + INTERVAL '5' SECOND > u",
    "tags[i] = m['a'] || address.country",
    "CAST(t AS DOUBLE) IS NOT NULL AND b IS NOT UNKNOWN",
    "FLOOR(ts TO DAY) = DATE_TRUNC('hour', u)",
    "TIMESTAMPDIFF(SECOND, ts, u) > LENGTH(TRIM(LEADING 'x' FROM t))",
    "SUBSTRING(t FROM n FOR i) = SPLIT_PART(t, ',', n) OR CONCAT_WS('-', t, k) IS DISTINCT FROM REPLACE(t, 'a')",
    "IN_LIST('sanctions', t) OR x > PARAM('max_notional', k)",
    "CONTAINS(tags, t) AND CARDINALITY(m) > -n",
]
FILTERS = [f"/*\nparams: {{p: 5}}\n*/\nSELECT k, {e} AS v FROM t WHERE {e} AND i > :p" for e in EXPRESSIONS]
PATTERNS = [
    rule_text(
        "A+ B*? (C | X){2,3}", B="B.v > AVG(A.v) AND PREV(B.v, 2) < 3", measures="FIRST(A.v, 1) AS f, LAST(C.v) AS c"
    ),
    rule_text("(A | B)+? C", measures="COUNT(A.*) AS n, MATCH_NUMBER() AS m, CLASSIFIER() AS c, SUM(DISTINCT v) AS s"),
    rule_text("A PERMUTE(B, C) {- X -}", select="*"),
    rule_text("^ A? B $"),
    rule_text("A B ABSENT(C)", within="5 SECOND"),
    rule_text("A B{,2} (C ()) ", define=", X AS NEXT(X.v) > 1"),
    """SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '3' SECOND PRECEDING AND CURRENT ROW) AS s
       FROM letters QUALIFY s > 4 AND AVG(v) OVER w > 1
       WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '3' SECOND PRECEDING AND CURRENT ROW)""",
    """SELECT k, n FROM (SELECT k, COUNT(*) FILTER (WHERE l = 'A') OVER (PARTITION BY k ORDER BY ts
       ROWS BETWEEN 5 PRECEDING AND CURRENT ROW) AS n FROM letters WHERE v > 0) AS x WHERE n > 2""",
    """SELECT window_start, window_end, k, COUNT(*) AS n FROM TABLE(HOP(TABLE letters, DESCRIPTOR(ts), INTERVAL '1' SECOND,
       INTERVAL '3' SECOND)) WHERE l = 'A' GROUP BY k, window_start, window_end HAVING COUNT(*) > 1""",
    """SELECT * FROM letters MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES FINAL LAST(U.v) AS v
       ALL ROWS PER MATCH SHOW EMPTY MATCHES AFTER MATCH SKIP TO FIRST B PATTERN (A B+)
       WITHIN INTERVAL '9' SECOND SUBSET U = (A, B) DEFINE B AS v > PREV(v)) WHERE v > 1""",
    """SELECT o.account, f.qty FROM orders AS o JOIN fills AS f ON o.account = f.account
       AND f.ts BETWEEN o.ts AND o.ts + INTERVAL '5' SECOND WHERE f.qty > o.qty""",
]
SEEDS = PACKAGED + FILTERS + PATTERNS
LOOKUPS = load_lookups()


def events():
    """A few events of every stream: plain, of NULLs, of extremes."""
    big = {
        "BIGINT": -(2**63),
        "INT": 2**31 - 1,
        "DOUBLE": 1.7e308,
        "DECIMAL": "99999999.99",
        "STRING": "A,1e9",
        "BOOLEAN": False,
    }
    plain = {"BIGINT": 2, "INT": 1, "DOUBLE": 3.5, "DECIMAL": "1.5", "STRING": "A", "BOOLEAN": True}
    for stream in STREAMS.values():
        if stream.is_view:
            continue
        rows = []
        for n, values in enumerate((plain, {}, big, plain, big, {}, plain)):
            row = {c.name: (plain | values if not c.nullable else values).get(c.type.kind) for c in stream.columns}
            row |= {c.name: "ABXC"[n % 4] for c in stream.columns if c.name in {*stream.key, "l", "event_id"}}
            rows.append(row | {stream.time_column: 1_000 * (n + 1)})
        yield stream.name, rows


EVENTS = dict(events())


def check_refusal(error, text):
    lines = text.split("\n")
    assert 1 <= error.line <= len(lines)
    assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    shown = str(error).split("\n")
    assert all(line.replace("\t", "").isprintable() for line in shown), shown
    assert shown[2].strip("|^ \t") == ""
    assert "^" in shown[2]
    assert error.message.strip()


def check(text):
    """Compile; run what compiles."""
    try:
        rule = m1cep.compile_rule(text, STREAMS, "fuzz.sql")
    except m1cep.RuleError as error:
        check_refusal(error, text)
        return False
    if any(lookup_is_missing(b) for b in rule.needs.bindings.values()) and not rule.needs.may_lack:
        with pytest.raises(m1cep.EngineError, match=r"which is not there|has no default"):
            m1cep.Engine([rule], LOOKUPS)
        return True
    engine = m1cep.Engine([rule], LOOKUPS)
    for name in rule.streams:
        for alert in engine.push(name, EVENTS[name]):
            assert b"NaN" not in alert.to_json()
    engine.finish()
    return True


def lookup_is_missing(binding):
    if binding.kind in LISTS:
        return LOOKUPS.members(binding.name) is None
    return binding.kind != "value" and LOOKUPS.parameter(binding.name) is None


def check_declaration(text):
    try:
        streams = m1cep.parse_streams(text, "fuzz.sql")
    except m1cep.RuleError as error:
        check_refusal(error, text)
        return
    for stream in streams.values():
        assert stream.row_type.__struct_fields__
        if not stream.is_view:
            stream.decode_many([b"{}", b"[]", b'{"ts": 1}'])


def test_the_seeds_themselves_are_understood():
    assert sum(map(check, SEEDS)) > len(SEEDS) // 2


@pytest.mark.parametrize("part", range(4))
def test_mutants_of_rules(part):
    rng = random.Random(f"{SEED} {part}")
    understood = sum(check(mutant(SEEDS, rng)) for _ in range(MUTANTS // 4))
    assert understood > 0  # some changes leave a rule: those run


def test_mutants_of_declarations():
    rng = random.Random(SEED)
    for _ in range(MUTANTS // 4):
        check_declaration(mutant([DDL, OWN], rng))


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from([*WORDS, "(", ")", ",", "'a'", "1", "="])).map(" ".join)))
def test_any_text(text):
    check(text)
    check(f"SELECT k FROM t WHERE {text}")
    check(f"/*\n{text}\n*/ SELECT k FROM t")
    check(rule_text(f"A {text} B").replace("DEFINE ,", "DEFINE"))
    check_declaration(text)
    check_declaration(OWN.replace("i BIGINT", f"i {text}"))


@pytest.mark.parametrize(
    "opening", ["(", "NOT ", "-", "ABS(", "CASE WHEN ", "(SELECT * FROM ", "[", "{", "A (", "/*", "'"]
)
@pytest.mark.parametrize("times", [50, 5_000])
def test_depth(opening, times):
    check(f"SELECT k FROM t WHERE {opening * times}")
    check(f"SELECT k FROM {opening * times} t")
    check(f"SELECT k FROM letters MATCH_RECOGNIZE (ORDER BY ts PATTERN ({opening * times}))")
    check_declaration(
        f"CREATE TABLE t (x {'ARRAY<' * times} INT, ts TIMESTAMP(3), WATERMARK FOR ts AS {opening * times})"
    )
