"""Values and conditions, with NULL as SQL has it."""

import pytest

import m1cep

STREAMS = m1cep.parse_streams(
    """CREATE TABLE s (k STRING, i BIGINT, j BIGINT, x DOUBLE, d DECIMAL(10, 2), t STRING, b BOOLEAN,
       u TIMESTAMP(6), ts TIMESTAMP(3),
       WATERMARK FOR ts AS ts) PARTITIONED BY (k) WITH ('topic' = 's')"""
)
ROW = {
    "k": "a",
    "i": 7,
    "j": 2,
    "x": 1.5,
    "d": "1.10",
    "t": "Hello",
    "b": True,
    "u": 1_777_636_800_000_001,
    "ts": 1_777_636_800_000,
}


def value(sql, **changes):
    engine = m1cep.Engine([m1cep.compile_rule(f"SELECT {sql} AS v FROM s", STREAMS)])
    [alert] = engine.push("s", [ROW | changes])
    return alert.row["v"]


def true(sql, **changes):
    engine = m1cep.Engine([m1cep.compile_rule(f"SELECT k FROM s WHERE {sql}", STREAMS)])
    return bool(engine.push("s", [ROW | changes]))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("i + j * 2", 11),
        ("i / j", 3),  # integers divide to integers, as in Flink, Trino and PostgreSQL
        ("-i / j", -3),
        ("i % j", 1),
        ("i / 2.0 > 3.4", True),
        ("x / 0", None),
        ("i / 0", None),
        ("LN(-x)", None),
        ("SQRT(4)", 2.0),
        ("POWER(2, 10)", 1024.0),
        ("ABS(-i)", 7),
        ("ROUND(2.5)", 3),
        ("CEIL(x) + FLOOR(x)", 3.0),
        ("GREATEST(i, j, 5)", 7),
        ("LEAST(i, NULL)", None),
        ("COALESCE(NULL, i)", 7),
        ("NULLIF(i, 7)", None),
        ("CASE WHEN i > 5 THEN 'big' ELSE 'small' END", "big"),
        ("CASE i WHEN 1 THEN 'one' END", None),
        ("IF(b, 1, 2)", 1),
        ("UPPER(t) || '!'", "HELLO!"),
        ("SUBSTRING(t, 2, 3)", "ell"),
        ("LENGTH(TRIM(' a '))", 1),
        ("CAST(i AS STRING)", "7"),
        ("CAST('12' AS BIGINT)", 12),
        ("CAST('x' AS BIGINT)", None),
        ("CAST(ts AS STRING)", "2026-05-01T12:00:00.000Z"),
        ("EXTRACT(HOUR FROM ts)", 12),
        ("ts + INTERVAL '1' SECOND", 1_777_636_801_000),
        ("ts - ts", 0),
        ("u > ts", True),
        ("d * 3 = 3.30", True),  # DECIMAL is exact
        ("d + x", 2.6),  # and becomes DOUBLE next to one
    ],
)
def test_value(sql, expected):
    assert value(sql) == expected


@pytest.mark.parametrize(
    ("sql", "changes", "expected"),
    [
        ("x > 1", {"x": None}, False),
        ("NOT (x > 1)", {"x": None}, False),
        ("x > 1 OR i = 7", {"x": None}, True),
        ("x > 1 AND i = 8", {"x": None}, False),
        ("NOT (x > 1 AND i = 8)", {"x": None}, True),  # unknown AND false is false
        ("x IS NULL", {"x": None}, True),
        ("x IS NOT NULL", {}, True),
        ("b IS TRUE", {"b": None}, False),
        ("b IS NOT TRUE", {"b": None}, True),
        ("NOT b", {"b": None}, False),
        ("x IN (1.5, 2)", {}, True),
        ("x NOT IN (1, 2)", {}, True),
        ("x NOT IN (1, 2)", {"x": None}, False),
        ("i IN (1, NULL)", {}, False),
        ("i NOT IN (1, NULL)", {}, False),  # unknown, as SQL says
        ("x BETWEEN 1 AND 2", {}, True),
        ("x NOT BETWEEN NULL AND 1", {}, True),  # 1.5 > 1 decides
        ("t LIKE 'H_l%'", {}, True),
        ("t LIKE 'h%'", {}, False),
        ("t LIKE '100!%' ESCAPE '!'", {"t": "100%"}, True),
        ("x IS DISTINCT FROM NULL", {"x": None}, False),
        ("x IS DISTINCT FROM 2", {"x": None}, True),
        ("ts - ts < INTERVAL '1' SECOND", {}, True),
    ],
)
def test_condition(sql, changes, expected):
    assert true(sql, **changes) is expected


def test_parameters_come_from_the_front_matter():
    text = "/*\nid: p\nparams: {limit: 5, word: Hello, wait: 2 s}\n*/ SELECT k FROM s"
    text += " WHERE i > :limit AND t = :word AND ts + :wait > ts"
    assert m1cep.Engine([m1cep.compile_rule(text, STREAMS)]).push("s", [ROW])


def test_names_ignore_case_unless_that_is_ambiguous():
    assert value("I + J") == 9
