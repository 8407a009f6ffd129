"""Which rules need their streams by another key, by which, and what the topics are called."""

from decimal import Decimal

import pytest

from m1cep import compile_rule, parse_streams
from streams.errors import ShellError
from streams.files import STREAMS_FILE, load_rules, packaged_rules_dir, read_text
from streams.rekey import Rekeyed, all_rekeyed, key_bytes, read_directly, rekeyed, why

STREAMS = parse_streams(
    read_text(packaged_rules_dir() / STREAMS_FILE)
    + """
CREATE TABLE ticks (event_id STRING NOT NULL, symbol STRING, "a-b" STRING, a STRING, b STRING, n BIGINT, x DOUBLE,
  ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('topic' = 'ticks');
CREATE TABLE counts (event_id STRING NOT NULL, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
  PARTITIONED BY (n) WITH ('topic' = 'counts');
CREATE TABLE sums (event_id STRING NOT NULL, x DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
  PARTITIONED BY (x) WITH ('topic' = 'sums');
CREATE VIEW both_sides AS SELECT event_id, account, qty, ts FROM fills UNION ALL
  SELECT event_id, counterparty, qty, ts FROM fills;
CREATE VIEW kinds AS SELECT event_id, 'order' AS kind, symbol, qty, ts FROM orders UNION ALL
  SELECT event_id, 'trade' AS kind, symbol, qty, ts FROM market;
"""
)
LATER = "{1}.ts BETWEEN {0}.ts AND {0}.ts + INTERVAL '1' SECOND"


def rule(text):
    return compile_rule(text, STREAMS, "r.sql")


def topics(text):
    return [one.topic for one in rekeyed(rule(text))]


def pattern(source, by):
    return f"""SELECT * FROM {source} MATCH_RECOGNIZE ({by} ORDER BY ts MEASURES A.event_id AS first_id PATTERN (A B)
      WITHIN INTERVAL '1' SECOND DEFINE A AS A.event_id > 'a')"""


def test_of_the_packaged_rules_none_needs_it():
    rules = load_rules(None, STREAMS)
    assert len(rules) > 20
    assert all_rekeyed(rules) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (pattern("orders", "PARTITION BY account"), []),
        (pattern("orders", "PARTITION BY symbol, account"), []),
        (pattern("orders", "PARTITION BY symbol"), ["orders-by-symbol"]),
        (pattern("orders", "PARTITION BY side, symbol"), ["orders-by-symbol-side"]),
        (pattern("orders", "PARTITION BY symbol, side"), ["orders-by-symbol-side"]),
        (pattern("orders", ""), ["orders-all"]),
        (pattern("ticks", "PARTITION BY symbol"), ["ticks-by-symbol"]),
        (pattern("events", "PARTITION BY account"), []),
        (pattern("events", "PARTITION BY symbol"), ["orders-by-symbol", "fills-by-symbol", "accounts-all"]),
        (pattern("events", "PARTITION BY symbol, address"), ["orders-by-symbol-", "fills-by-symbol-", "accounts-by--address"]),
        (pattern("kinds", "PARTITION BY symbol"), ["orders-by-symbol", "market-by-symbol"]),
        (pattern("kinds", "PARTITION BY kind"), ["orders-all", "market-all"]),
        (pattern("kinds", "PARTITION BY kind, symbol"), ["orders-by-symbol", "market-by-symbol"]),
        # Orders are kept out: only trades matter, and these are by symbol already.
        (pattern("(SELECT * FROM kinds WHERE kind = 'trade')", "PARTITION BY symbol"), []),
        (pattern("both_sides", "PARTITION BY account"), ["fills-all"]),
        ("SELECT symbol FROM orders WHERE qty > 1", []),
        ("/*\nsuppress: 1 min\n*/ SELECT symbol FROM orders WHERE qty > 1", []),
        ("/*\nsuppress: 1 min\n*/ SELECT symbol FROM kinds WHERE qty > 1", ["orders-all", "market-all"]),
        (f"SELECT o.qty FROM orders o JOIN fills f ON o.account = f.account AND {LATER.format('o', 'f')}", []),
        (f"SELECT o.qty FROM orders o JOIN fills f ON o.qty = f.qty AND o.account = f.account AND {LATER.format('o', 'f')}", []),
        # Market is by symbol already; but who writes it may spread symbols another way than we do.
        (f"SELECT o.qty FROM orders o JOIN market m ON o.symbol = m.symbol AND {LATER.format('o', 'm')}",
         ["orders-by-symbol", "market-by-symbol"]),
        (f"SELECT f.qty FROM fills f JOIN fills g ON f.counterparty = g.account AND {LATER.format('f', 'g')}", ["fills-all"]),
        (f"SELECT c.n FROM counts c JOIN sums s ON c.n = s.x AND {LATER.format('c', 's')}", ["counts-by-n", "sums-by-x"]),
        ("""SELECT side FROM TABLE(SESSION(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
            GROUP BY account, side, window_start, window_end""", ["orders-all"]),
        ("""SELECT side FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
            GROUP BY account, side, window_start, window_end""", []),
        ("""SELECT symbol FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
            GROUP BY symbol, window_start, window_end""", ["orders-by-symbol"]),
    ],
)  # fmt: skip
def test_what_a_rule_reads_in_place_of_its_streams(text, expected):
    assert topics(text) == [f"m1cep.{name}.v1" for name in expected]


def test_it_says_why():
    assert why(rule(pattern("orders", "PARTITION BY account"))) == ""
    assert why(rule(pattern("orders", "PARTITION BY symbol"))) == (
        "reads m1cep.orders-by-symbol.v1, which the worker writes: its key is symbol, that of orders is account"
    )
    assert why(rule(pattern("ticks", ""))) == (
        "reads m1cep.ticks-all.v1, which the worker writes: it has no PARTITION BY, that of ticks is none; "
        "all its events go through one partition"
    )
    assert "because account is not one column of every stream" in why(
        rule(pattern("both_sides", "PARTITION BY account"))
    )


def test_only_the_other_rules_read_the_streams_themselves():
    rules = [rule(pattern("orders", "PARTITION BY symbol")), rule("SELECT qty FROM fills WHERE qty > 1")]
    assert read_directly(rules) == {"fills"}


def test_names_that_come_to_one_topic_are_refused():
    rules = [rule(pattern("ticks", 'PARTITION BY "a-b"')), rule(pattern("ticks", "PARTITION BY a, b"))]
    with pytest.raises(
        ShellError, match=r"ticks by a, b and ticks by a-b would have the same topic m1cep.ticks-by-a-b.v1"
    ):
        all_rekeyed(rules)


def test_a_topics_name_holds_what_kafka_takes():
    assert Rekeyed(STREAMS["ticks"], ("größe ☂",)).topic == "m1cep.ticks-by-gr_f6__df_e_20__2602_.v1"
    assert len(Rekeyed(STREAMS["ticks"], ("x" * 500,)).topic) < 249
    assert Rekeyed(STREAMS["ticks"], ("x" * 500,)).topic != Rekeyed(STREAMS["ticks"], ("x" * 501,)).topic


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([None], None),
        ([None, None], None),
        (["BTC-USD"], b"BTC-USD"),
        ([5], b"5"),
        ([5.0], b"5"),
        ([Decimal("5.00")], b"5"),
        ([5.5], b"5.5"),
        ([Decimal("5.50")], b"5.5"),
        ([-0.0], b"0"),
        ([True], b"true"),
        ([1e300], str(int(1e300)).encode()),
        (["a", 1.0, None], b'["a",1,null]'),
    ],
)
def test_equal_values_have_equal_keys(values, expected):
    assert key_bytes(values) == expected
