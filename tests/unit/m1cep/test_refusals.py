"""What is not understood is refused when the rule is loaded: with line, column, caret and a hint."""

import pytest

import m1cep
from streams.files import load_streams

STREAMS = load_streams()
MATCH = "SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts PATTERN ({}) DEFINE A AS A.qty > 1{})"


def refused(text):
    with pytest.raises(m1cep.RuleError) as caught:
        m1cep.compile_rule(text, STREAMS, "r.sql")
    return caught.value


@pytest.mark.parametrize(
    ("text", "where", "message", "hint"),
    [
        ("SELECT acount FROM orders", (1, 8), "no column 'acount'", "did you mean 'account'"),
        ("SELECT account FROM order", (1, 21), "no stream 'order'", "did you mean 'orders'"),
        ("SELECT account\nFROM orders\nWHERE price", (3, 7), "expected a condition", "compare"),
        ("SELECT account FROM orders WHERE account > 1", (1, 34), "cannot compare STRING > BIGINT", "CAST"),
        ("SELECT account + 1 AS x FROM orders", (1, 8), "cannot compute STRING + BIGINT", "CAST"),
        ("SELECT qty * 2 FROM orders", (1, 8), "expected AS name", ""),
        ("SELECT account FROM orders WHERE COUNT(*) > 3", (1, 34), "an aggregate cannot stand in WHERE", "OVER"),
        ("SELECT account FROM orders WHERE XYZZY(qty) > 3", (1, 34), "XYZZY is not supported", "docs/rules.md"),
        ("SELECT account FROM orders WHERE qty > :limit", (1, 40), ":limit is not in the front matter", "params"),
        ("SELECT account FROM orders GROUP BY account", None, "GROUP BY is not supported", ""),
        ("SELECT account FROM orders ORDER BY ts", None, "ORDER BY is not supported", ""),
        ("SELECT account FROM orders; SELECT account FROM fills", (1, 36), "expected one SELECT", ""),
        ("SELECT account FROM orders TABLESAMPLE BERNOULLI (10)", None, "TABLESAMPLE is not supported", ""),
        ("SELECT a FROM orders AS o(a, b)", None, "an alias cannot rename columns", "AS in SELECT"),
        ("SELECT * EXCEPT (price) FROM orders", None, "expected * alone", "name the columns"),
        ("DELETE FROM orders", None, "expected SELECT", ""),
        ("SELECT account FROM orders WHERE (qty > 1", None, "not understood", ""),
        ("", None, "expected one SELECT", ""),
        ("/*\nid: x\nseverty: high\n*/\nSELECT account FROM orders", (3, 1), "no key 'severty'", "'severity'"),
        ("/*\nid: x\nseverity: bad\n*/\nSELECT account FROM orders", (3, 1), "severity", ""),
        ("/*\nid: x\nsummary: 2026-13-01\n*/\nSELECT account FROM orders", (1, 3), "not YAML: month must be", ""),
        ("/*\nid: x\nsuppress: 1e5 s\n*/\nSELECT account FROM orders", (3, 1), "expected a duration such as", ""),
        (f"/*\nid: x\nsuppress: {'9' * 400} s\n*/\nSELECT account FROM orders", (3, 1), "less than 292,000 years", ""),
        (
            "/*\naction: freeze_account\n*/\nSELECT symbol FROM market",
            None,
            "needs the column account in the rule's key, which is symbol",
            "PARTITION BY account",
        ),
        (
            "/*\naction: hold_withdrawal\n*/\n"
            + MATCH.format("A", "").replace("PARTITION BY account", "PARTITION BY symbol"),
            None,
            "needs the column account in the rule's key, which is symbol",
            "PARTITION BY account",
        ),
        ("/*\nid: [x\n*/\nSELECT account FROM orders", None, "not YAML", ""),
        (MATCH.format("A B", ", C AS C.qty > 2"), (1, 109), "'C', which is not a variable", ""),
        (MATCH.format("A B", ", B AS D.qty > 2"), None, "'D' is not a variable", ""),
        (MATCH.format("A B", ", A AS A.qty > 2"), None, "defined twice", ""),
        (MATCH.format("A B{3", ""), (1, 84), "not part of a row pattern", "quantifiers"),
        (MATCH.format("A (B", ""), None, "not understood", ""),
        (MATCH.format("A B{3,2}", ""), None, "begins with the smaller", "{2,3}"),
        (MATCH.format("A{20000}", ""), None, "count of at most", ""),
        (MATCH.format("(A{10000}){3}", ""), None, "too large together", ""),
        (MATCH.format("PERMUTE(A, B, C, D, E, F, G)", ""), None, "at most 6 parts", ""),
        (MATCH.format("A ABSENT(B)", ""), None, "ABSENT needs WITHIN", "WITHIN INTERVAL"),
        (MATCH.format("A ABSENT(B) C", ""), None, "ABSENT stands at the end", ""),
        (MATCH.format("ABSENT(A)", ""), None, "ABSENT needs a row before it", ""),
        (MATCH.format("A", "").replace("ORDER BY ts ", ""), None, "ordered by event time", "ORDER BY ts"),
        (MATCH.format("A", "").replace("ORDER BY ts", "ORDER BY qty"), None, "ordered by event time", "ORDER BY ts"),
        (MATCH.format("A", "").replace(" DEFINE", " WITHIN 5 DEFINE"), None, "WITHIN expects a positive INTERVAL", ""),
        (
            MATCH.format("A", "").replace(" DEFINE", " SUBSET U = (A, Q) DEFINE"),
            None,
            "'Q', which is not a variable",
            "there are",
        ),
        (MATCH.format("A", "").replace(" DEFINE", " SUBSET A = (A) DEFINE"), None, "another variable already", ""),
        (MATCH.format("A", " AND FIRST(SUM(A.qty)) > 1"), None, "an aggregate cannot stand in", "inside one another"),
        (MATCH.format("A B", ", B AS SUM(A.qty * B.qty) > 1"), None, "columns of one variable", ""),
        ("SELECT account, SUM(qty) OVER (PARTITION BY account) AS s FROM orders", None, "ordered by event time", ""),
        (
            "SELECT account, SUM(qty) OVER (PARTITION BY account ORDER BY ts) AS s FROM orders",
            None,
            "expected a frame",
            "RANGE BETWEEN INTERVAL",
        ),
        ("SELECT a.x.y AS z FROM orders", (1, 8), "unknown table 'a'", "there are: orders"),
        ("SELECT account FROM orders WHERE qty > (SELECT 1)", None, "not supported", ""),
    ],
)
def test_refusal(text, where, message, hint):
    error = refused(text)
    assert message in error.message
    assert hint in error.hint
    if where is not None:
        assert (error.line, error.column) == where
    assert f"r.sql:{error.line}:{error.column}:" in str(error)
    assert "^" in str(error) or not text


ONE_A_LINE = """SELECT account, n
FROM orders MATCH_RECOGNIZE (
  PARTITION BY account
  ORDER BY ts
  MEASURES COUNT(*) AS n
  PATTERN (BUY BUY+ SELL)
  WITHIN INTERVAL '5' SECOND
  DEFINE BUY AS BUY.side = 'buy',
    SELL AS SELL.side = 'sell'
)
WHERE n > 3"""


@pytest.mark.parametrize(
    ("change", "caret", "message", "hint"),
    [
        (("'buy'", "5"), "BUY.side = 5", "cannot compare STRING = BIGINT", "CAST"),
        (("BUY.side", "BUY.sied"), "BUY.sied", "has no column 'sied'", "did you mean 'side'?"),
        (("SELL AS SELL", "SEL AS SELL"), "SEL AS", "DEFINE names 'SEL', which is not a variable", "'SELL'"),
        (("SELL.side", "SEL.side"), "SEL.side", "'SEL' is not a variable of the PATTERN", "did you mean 'SELL'?"),
        (("ORDER BY ts\n", "\n"), "MATCH_RECOGNIZE", "must be ordered by event time", "ORDER BY ts"),
        (("ORDER BY ts", "ORDER BY qty"), "qty", "must be ordered by event time", "ORDER BY ts"),
        (("WHERE n > 3", "WHERE COUNT(*) > 3"), "COUNT", "an aggregate cannot stand in", "SUM(x) OVER"),
        (("WHERE n", "WHERE m"), "m > 3", "there is no column 'm'", "there are: account, n"),
        (("SECOND", "MONTH"), "'5' MONTH", "one unit of fixed length", "DAY"),
        (("BUY+", "BUY+*"), "*", "expected one quantifier", "(A+)*"),
        (("BUY+", "BUY{3,1}"), "{3,1}", "begins with the smaller count", "{1,3}"),
        (("COUNT(*) AS n", "COUNT(*)"), "PATTERN", "expected AS name after a measure", ""),
        (("COUNT(*) AS n", "SUM(side) AS n"), "SUM", "SUM expects numeric, got STRING", ""),
        (("FROM orders", "FROM oders"), "oders", "there is no stream 'oders'", "did you mean 'orders'?"),
        (
            ("= 'sell'", "= 'sell' AND LENGHT(side) > 1"),
            "LENGHT",
            "function LENGHT is not supported",
            "did you mean 'LENGTH'?",
        ),
        (("= 'sell'", "= :side"), ":side", "parameter :side is not in the front matter", "params"),
    ],
)
def test_the_caret_stands_at_the_fault(change, caret, message, hint):
    assert m1cep.compile_rule(ONE_A_LINE, STREAMS)  # without the fault
    text = ONE_A_LINE.replace(*change)
    error = refused(text)
    assert message in error.message
    assert hint in error.hint
    lines = text.split("\n")
    assert lines[error.line - 1][error.column - 1 :].startswith(caret)
    _, shown, below, *rest = str(error).split("\n")
    assert shown[below.index("^") :].startswith(caret)
    assert rest == ([f"hint: {error.hint}"] if error.hint else [])


def test_a_long_line_is_shown_in_part_and_nothing_a_terminal_would_act_on():
    text = "SELECT account FROM orders WHERE " + "qty > 1 AND " * 200 + "\x1b[31m qtty > 1"
    with pytest.raises(m1cep.RuleError) as caught:
        m1cep.compile_rule(text, STREAMS, "r.sql")
    _, shown, below, *_ = str(caught.value).split("\n")
    assert len(shown) < 200
    assert "\x1b" not in str(caught.value)
    assert "^" in below


def test_the_caret_stands_below_the_word():
    lines = str(refused("SELECT account\nFROM orders\nWHERE acount = 'x'")).splitlines()
    assert lines[1].index("acount") == lines[2].index("^")
    assert lines[2].count("^") == len("acount")


def test_engine_misuse_is_explained():
    rule = m1cep.compile_rule("SELECT account FROM orders", STREAMS, "one")
    engine = m1cep.Engine([rule])
    with pytest.raises(m1cep.EngineError, match="no stream 'order'"):
        engine.push("order", [])
    with pytest.raises(m1cep.EngineError, match="expected a sequence of events"):
        engine.push("orders", {"account": "a"})
    with pytest.raises(m1cep.EngineError, match="'one' twice"):
        m1cep.Engine([rule, rule])
    assert engine.push("market", [{"anything": 1}]) == []  # a stream that exists and no rule reads


def test_a_rule_that_fails_names_itself_and_its_sql():
    streams = m1cep.parse_streams(
        "CREATE TABLE s (k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) PARTITIONED BY (k) WITH ('topic' = 's')"
    )
    rule = m1cep.compile_rule("SELECT k\nFROM s\nWHERE POWER(n, 2) > 0", streams, "fails")
    rule.module.namespace["power"] = lambda *_: 1 // 0
    with pytest.raises(m1cep.RuleFailure, match=r"rule 'fails' failed: ZeroDivisionError") as caught:
        m1cep.Engine([rule]).push("s", [{"k": "a", "n": 1, "ts": 1}])
    assert caught.value.line == 3
    assert "WHERE POWER" in str(caught.value)
