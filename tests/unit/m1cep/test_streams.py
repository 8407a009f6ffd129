"""Stream declarations, and events that fit them or do not."""

import json
from decimal import Decimal

import pytest

import m1cep
from streams.files import load_streams

DDL = """
CREATE TABLE t (
  event_id STRING, account STRING, n INT, big BIGINT, price DOUBLE, exact DECIMAL(18, 8), flag BOOLEAN NOT NULL,
  tags ARRAY<STRING>, extra MAP<STRING, DOUBLE>, nested ROW<a INT, b STRING>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '1.5' SECOND
) PARTITIONED BY (account) WITH ('topic' = 't.v1');
"""
T = m1cep.parse_streams(DDL)["t"]
GOOD = {"account": "a", "flag": True, "ts": 5}


def decode(**changes):
    rows, errors, _ = T.decode_many([json.dumps(GOOD | changes).encode()])
    assert not errors
    return rows[0]


def refusal(raw):
    rows, [(position, error)], index = T.decode_many(
        [b'{"account":"a","flag":true,"ts":1}', raw, b'{"account":"b","flag":true,"ts":2}']
    )
    assert position == 1
    assert [r.account for r in rows] == ["a", "b"]  # the neighbours are there
    assert index == [0, 2]
    return error


class TestDeclaration:
    def test_table(self):
        assert (T.topic, T.key, T.time_column, T.time_unit, T.delay) == ("t.v1", ("account",), "ts", "ms", 1500)
        assert {c.name: str(c.type) for c in T.columns}["exact"] == "DECIMAL(18, 8)"

    def test_built_in_streams_and_their_union(self):
        streams = load_streams()
        assert set(streams) == {"orders", "fills", "accounts", "market", "events"}
        assert streams["events"].inputs == ("orders", "fills", "accounts")

    @pytest.mark.parametrize(
        ("ddl", "message"),
        [
            ("CREATE TABLE t (ts TIMESTAMP(3))", "expected one WATERMARK"),
            ("CREATE TABLE t (ts STRING, WATERMARK FOR ts AS ts)", "WATERMARK expects a column of type"),
            ("CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts * 2)", "expected WATERMARK FOR ts AS ts"),
            ("CREATE TABLE t (x GEOMETRY, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)", "type GEOMETRY is not supported"),
            ("CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts) PARTITIONED BY (nope)", "which is not a column"),
            ("SELECT 1", "expected CREATE TABLE or CREATE VIEW"),
            ("CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts) settings, more", "expected 'name' = 'value'"),
            ("", "expected at least one CREATE TABLE"),
            ("CREATE VIEW v AS SELECT a FROM nope", "expected FROM a stream declared before"),
        ],
    )
    def test_what_is_wrong_is_refused(self, ddl, message):
        with pytest.raises(m1cep.RuleError, match=message):
            m1cep.parse_streams(ddl)


class TestEvents:
    def test_values(self):
        row = decode(n=3, big=2**62, price=1.5, exact="0.1", tags=["x"], extra={"k": 1}, nested={"a": 1})
        assert (row.n, row.big, row.price, row.exact, row.tags, row.extra) == (
            3,
            2**62,
            1.5,
            Decimal("0.1"),
            ["x"],
            {"k": 1.0},
        )

    def test_missing_and_null_are_null_where_allowed(self):
        assert decode().price is None
        assert decode(price=None).price is None

    def test_numbers_as_text(self):
        assert decode(price="64000.5", n="7").price == 64000.5

    def test_time_as_integer_or_rfc3339(self):
        assert decode(ts=1777636800123).ts == 1777636800123
        assert decode(ts="2026-05-01T12:00:00.123Z").ts == 1777636800123
        assert decode(ts="2026-05-01T14:00:00.1239+02:00").ts == 1777636800123

    def test_unknown_columns_are_ignored(self):
        assert decode(more={"deep": [1]}).account == "a"

    @pytest.mark.parametrize(
        ("raw", "column", "reason"),
        [
            (b"not json", None, "malformed"),
            (b"[1]", None, "Expected `object`"),
            (b'{"flag":true,"ts":1}', "account", "missing required field"),
            (b'{"account":null,"flag":true,"ts":1}', "account", "Expected `str`"),
            (b'{"account":"a","flag":true,"ts":1,"price":"cheap"}', "price", "Expected `float"),
            (b'{"account":"a","flag":true,"ts":1,"price":NaN}', None, "malformed"),
            (b'{"account":"a","flag":true,"ts":1,"price":"nan"}', "price", "Expected `float`"),
            (b'{"account":"a","flag":true,"ts":1,"price":1e999}', "price", "out of range"),
            (b'{"account":"a","flag":true,"ts":1,"big":' + b"1" * 40 + b"}", "big", "Expected `int`"),
            (b'{"account":"a","flag":true,"ts":1,"n":3000000000}', "n", "Expected `int`"),
            (b'{"account":"a","flag":true,"ts":1,"price":true}', "price", "Expected `float"),
            (b'{"account":"a","flag":true,"ts":"yesterday"}', "ts", "RFC 3339"),
            (b'{"account":"a","flag":true,"ts":-5}', "ts", "Expected `int`"),
            (b'{"account":"a\xff","flag":true,"ts":1}', None, "UTF-8"),
            (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, "nested too deeply"),
            (b'{"account":"' + b"a" * 2_000_000 + b'"}', None, "at most 1048576 bytes"),
            (None, None, "without a value"),
        ],
    )
    def test_what_does_not_fit_is_one_error_and_its_neighbours_are_there(self, raw, column, reason):
        error = refusal(raw)
        assert error.stream == "t"
        assert error.column == column
        assert reason in error.reason

    def test_mappings(self):
        rule = m1cep.compile_rule("SELECT account FROM t", {"t": T})
        engine = m1cep.Engine([rule])
        engine.push("t", [{"account": "a", "flag": True, "ts": "2026-05-01T12:00:00Z"}])
        with pytest.raises(m1cep.EventError, match="event 1 of the batch") as caught:
            engine.push("t", [GOOD, GOOD | {"price": float("nan")}])
        assert (caught.value.stream, caught.value.column, caught.value.index) == ("t", "price", 1)

    def test_a_refused_batch_changes_nothing(self):
        engine = m1cep.Engine([m1cep.compile_rule("SELECT account FROM t", {"t": T})])
        with pytest.raises(m1cep.EventError):
            engine.push("t", [GOOD, b"x"])
        assert engine.events == 0
        assert engine.finish() == []
