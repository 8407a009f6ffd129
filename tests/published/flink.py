"""Flink: the page Pattern Recognition."""

from reference import expressions as x
from reference import patterns as p
from reference.query import Query

from published.example import Example, at, compare, first, last, plus, seq, star

FLINK = "https://nightlies.apache.org/flink/flink-docs-stable/docs/dev/table/sql/queries/match_recognize/"


def flink_rows(symbol, begin, step_s, prices):
    return [
        {"symbol": symbol, "rowtime": at(begin) + n * step_s * 1000, "price": price, "tax": 1}
        for n, price in enumerate(prices)
    ]


def second(n):
    return at(f"2011-04-01 10:00:{n:02}")


def september(n):
    return at(f"2018-09-17 10:00:{n:02}")


def flink_query(*args, **more):
    return Query(*args, key="symbol", time="rowtime", **more)


flink_falling = Example(
    FLINK,
    "FlinkTicker",
    flink_rows("ACME", "2011-04-01 10:00:00", 1, [12, 17, 19, 21, 25, 18, 15, 14, 24, 25, 19]),
    """SELECT * FROM FlinkTicker MATCH_RECOGNIZE (
         PARTITION BY symbol
         ORDER BY rowtime
         MEASURES START_ROW.rowtime AS start_tstamp, LAST(PRICE_DOWN.rowtime) AS bottom_tstamp,
                  LAST(PRICE_UP.rowtime) AS end_tstamp
         ONE ROW PER MATCH
         AFTER MATCH SKIP TO LAST PRICE_UP
         PATTERN (START_ROW PRICE_DOWN+ PRICE_UP)
         DEFINE
           PRICE_DOWN AS (LAST(PRICE_DOWN.price, 1) IS NULL AND PRICE_DOWN.price < START_ROW.price) OR
                         PRICE_DOWN.price < LAST(PRICE_DOWN.price, 1),
           PRICE_UP AS PRICE_UP.price > LAST(PRICE_DOWN.price, 1)) MR""",
    "symbol start_tstamp bottom_tstamp end_tstamp",
    [("ACME", second(4), second(7), second(8))],
    flink_query(
        seq("START_ROW", plus("PRICE_DOWN"), "PRICE_UP"),
        {
            "PRICE_DOWN": x.Or(
                x.And(
                    x.IsNull(last("price", "PRICE_DOWN", 1)),
                    x.Binary("<", x.Field("price", "PRICE_DOWN"), x.Field("price", "START_ROW")),
                ),
                x.Binary("<", x.Field("price", "PRICE_DOWN"), last("price", "PRICE_DOWN", 1)),
            ),
            "PRICE_UP": x.Binary(">", x.Field("price", "PRICE_UP"), last("price", "PRICE_DOWN", 1)),
        },
        {
            "start_tstamp": x.Field("rowtime", "START_ROW"),
            "bottom_tstamp": last("rowtime", "PRICE_DOWN"),
            "end_tstamp": last("rowtime", "PRICE_UP"),
        },
        "TO LAST PRICE_UP",
    ),
)
flink_average = Example(
    FLINK,
    "FlinkTicker",
    flink_rows("ACME", "2011-04-01 10:00:00", 1, [12, 17, 13, 16, 25, 2, 4, 10, 15, 25, 25, 30]),
    """SELECT * FROM FlinkTicker MATCH_RECOGNIZE (
         PARTITION BY symbol
         ORDER BY rowtime
         MEASURES FIRST(A.rowtime) AS start_tstamp, LAST(A.rowtime) AS end_tstamp, AVG(A.price) AS avgPrice
         ONE ROW PER MATCH
         AFTER MATCH SKIP PAST LAST ROW
         PATTERN (A+ B)
         DEFINE A AS AVG(A.price) < 15) MR""",
    "symbol start_tstamp end_tstamp avgPrice",
    [("ACME", second(0), second(3), 14.5), ("ACME", second(5), second(10), 13.5)],
    flink_query(
        seq(plus("A"), "B"),
        {"A": x.Binary("<", x.Aggregate("AVG", x.Field("price", "A")), x.Literal(15))},
        {
            "start_tstamp": first("rowtime", "A"),
            "end_tstamp": last("rowtime", "A"),
            "avgPrice": x.Aggregate("AVG", x.Field("price", "A")),
        },
    ),
)


def flink_greed(quantifier, greedy, *prices):
    return Example(
        FLINK,  # "Greedy & Reluctant Quantifiers"
        "FlinkTicker",
        flink_rows("XYZ", "2018-09-17 10:00:02", 1, [10, 11, 12, 13, 14, 16]),
        f"""SELECT * FROM FlinkTicker MATCH_RECOGNIZE(
              PARTITION BY symbol
              ORDER BY rowtime
              MEASURES C.price AS lastPrice
              ONE ROW PER MATCH
              AFTER MATCH SKIP PAST LAST ROW
              PATTERN (A {quantifier} C)
              DEFINE A AS A.price > 10, B AS B.price < 15, C AS C.price > 12)""",
        "symbol lastPrice",
        [("XYZ", price) for price in prices],
        flink_query(
            seq("A", star("B", greedy), "C"),
            {
                "A": compare("price", ">", 10, "A"),
                "B": compare("price", "<", 15, "B"),
                "C": compare("price", ">", 12, "C"),
            },
            {"lastPrice": x.Field("price", "C")},
        ),
    )


flink_greedy = flink_greed("B*", True, 16)
flink_reluctant = flink_greed("B*?", False, 13, 16)


def flink_within(bound, within_ms, *rows):
    # WITHIN INTERVAL '1' HOUR on the page: its match lasts one hour sharp and is printed. Flink's program and we count a match
    # of exactly that length out; with a minute more the printed row comes, with the page's bound the one that begins later.
    return Example(
        FLINK,  # "Time constraint"
        "FlinkTicker",
        flink_rows("ACME", "2011-04-01 10:00:00", 1200, [20, 17, 18, 11, 14, 9, 15, 14, 24, 1, 19]),
        f"""SELECT * FROM FlinkTicker MATCH_RECOGNIZE(
              PARTITION BY symbol
              ORDER BY rowtime
              MEASURES C.rowtime AS dropTime, A.price - C.price AS dropDiff
              ONE ROW PER MATCH
              AFTER MATCH SKIP PAST LAST ROW
              PATTERN (A B* C) WITHIN {bound}
              DEFINE B AS B.price > A.price - 10, C AS C.price < A.price - 10)""",
        "symbol dropTime dropDiff",
        list(rows),
        flink_query(
            seq("A", star("B"), "C"),
            {
                name: x.Binary(op, x.Field("price", name), x.Binary("-", x.Field("price", "A"), x.Literal(10)))
                for name, op in [("B", ">"), ("C", "<")]
            },
            {
                "dropTime": x.Field("rowtime", "C"),
                "dropDiff": x.Binary("-", x.Field("price", "A"), x.Field("price", "C")),
            },
            within=within_ms,
        ),
    )


flink_within_hour = flink_within("INTERVAL '1' HOUR", 3_600_000, ("ACME", at("2011-04-01 13:00:00"), 13))
flink_within_more = flink_within("INTERVAL '61' MINUTE", 3_660_000, ("ACME", at("2011-04-01 13:00:00"), 14))
flink_output = Example(
    FLINK,  # "Output Mode"
    "FlinkTicker",
    flink_rows("XYZ", "2018-09-17 10:00:02", 1, [10, 12, 13, 11]),
    """SELECT * FROM FlinkTicker MATCH_RECOGNIZE(
         PARTITION BY symbol
         ORDER BY rowtime
         MEASURES FIRST(A.price) AS startPrice, LAST(A.price) AS topPrice, B.price AS lastPrice
         ONE ROW PER MATCH
         PATTERN (A+ B)
         DEFINE A AS LAST(A.price, 1) IS NULL OR A.price > LAST(A.price, 1), B AS B.price < LAST(A.price))""",
    "symbol startPrice topPrice lastPrice",
    [("XYZ", 10, 13, 11)],
    flink_query(
        seq(plus("A"), "B"),
        {
            "A": x.Or(x.IsNull(last("price", "A", 1)), x.Binary(">", x.Field("price", "A"), last("price", "A", 1))),
            "B": x.Binary("<", x.Field("price", "B"), last("price", "A")),
        },
        {"startPrice": first("price", "A"), "topPrice": last("price", "A"), "lastPrice": x.Field("price", "B")},
    ),
)
flink_sums = Example(
    FLINK,  # "Pattern Variable Referencing": the table of rows mapped one after the other
    "FlinkTicker",
    flink_rows("XYZ", "2018-09-17 10:00:01", 1, [10, 15, 20, 31, 35]),
    """SELECT * FROM FlinkTicker MATCH_RECOGNIZE(
         PARTITION BY symbol ORDER BY rowtime
         MEASURES A.price AS a, LAST(B.price) AS b, SUM(price) AS all_prices, SUM(B.price) AS b_prices
         PATTERN (A B+)
         DEFINE A AS A.price >= 10, B AS B.price > A.price AND SUM(price) < 100 AND SUM(B.price) < 80)""",
    "a b all_prices b_prices",
    [(10, 31, 76, 66)],
    flink_query(
        seq("A", plus("B")),
        {
            "A": compare("price", ">=", 10, "A"),
            "B": x.And(
                x.Binary(">", x.Field("price", "B"), x.Field("price", "A")),
                x.And(
                    x.Binary("<", x.Aggregate("SUM", x.Field("price")), x.Literal(100)),
                    x.Binary("<", x.Aggregate("SUM", x.Field("price", "B")), x.Literal(80)),
                ),
            ),
        },
        {
            "a": x.Field("price", "A"),
            "b": last("price", "B"),
            "all_prices": x.Aggregate("SUM", x.Field("price")),
            "b_prices": x.Aggregate("SUM", x.Field("price", "B")),
        },
    ),
)
flink_offsets = Example(
    FLINK,  # "Logical Offsets"
    "FlinkTicker",
    flink_rows("XYZ", "2018-09-17 10:00:01", 1, [10, 15, 20, 31, 35]),
    """SELECT * FROM FlinkTicker MATCH_RECOGNIZE(
         PARTITION BY symbol ORDER BY rowtime
         MEASURES LAST(B.price) AS b, LAST(B.price, 1) AS b1, LAST(B.price, 2) AS b2
         PATTERN (A B+)
         DEFINE A AS A.price >= 10,
                B AS (LAST(B.price, 1) IS NULL OR B.price > LAST(B.price, 1)) AND
                     (LAST(B.price, 2) IS NULL OR B.price > 2 * LAST(B.price, 2)))""",
    "b b1 b2",
    [(31, 20, 15)],
    flink_query(
        seq("A", plus("B")),
        {
            "A": compare("price", ">=", 10, "A"),
            "B": x.And(
                x.Or(x.IsNull(last("price", "B", 1)), x.Binary(">", x.Field("price", "B"), last("price", "B", 1))),
                x.Or(
                    x.IsNull(last("price", "B", 2)),
                    x.Binary(">", x.Field("price", "B"), x.Binary("*", x.Literal(2), last("price", "B", 2))),
                ),
            ),
        },
        {"b": last("price", "B"), "b1": last("price", "B", 1), "b2": last("price", "B", 2)},
    ),
)


def flink_all_rows_offset(prices, *matched):
    return Example(
        FLINK,  # "It might also make sense to use the default pattern variable with logical offsets"
        "FlinkTicker",
        flink_rows("XYZ", "2018-09-17 10:00:01", 1, prices),
        """SELECT * FROM FlinkTicker MATCH_RECOGNIZE(
             PARTITION BY symbol ORDER BY rowtime
             MEASURES A.price AS a, B.price AS b, C.price AS c, LAST(price, 1) AS before
             PATTERN (A B? C)
             DEFINE B AS B.price < 20, C AS LAST(price, 1) < C.price)""",
        "a b c before",
        [matched],
        flink_query(
            seq("A", p.Loop(p.Var("B"), 0, 1), "C"),
            {"B": compare("price", "<", 20, "B"), "C": x.Binary("<", last("price", None, 1), x.Field("price", "C"))},
            {
                "a": x.Field("price", "A"),
                "b": x.Field("price", "B"),
                "c": x.Field("price", "C"),
                "before": last("price", None, 1),
            },
        ),
    )


flink_offset_of_all = flink_all_rows_offset([10, 15, 20], 10, 15, 20, 15)
flink_offset_without_b = flink_all_rows_offset([10, 20], 10, None, 20, 10)


def flink_skip(skip, *matches):
    # The page's stream goes on: the last two rows (7, 14) may still become the A rows of a longer match.
    return Example(
        FLINK,  # "After Match Strategy"
        "FlinkTicker",
        flink_rows("XYZ", "2018-09-17 10:00:01", 1, [7, 9, 10, 5, 10, 7, 14]),
        f"""SELECT * FROM FlinkTicker MATCH_RECOGNIZE(
              PARTITION BY symbol
              ORDER BY rowtime
              MEASURES SUM(A.price) AS sumPrice, FIRST(rowtime) AS startTime, LAST(rowtime) AS endTime
              ONE ROW PER MATCH
              AFTER MATCH SKIP {skip}
              PATTERN (A+ C)
              DEFINE A AS SUM(A.price) < 30)""",
        "symbol sumPrice startTime endTime",
        [("XYZ", total, september(begin), september(end)) for total, begin, end in matches],
        flink_query(
            seq(plus("A"), "C"),
            {"A": x.Binary("<", x.Aggregate("SUM", x.Field("price", "A")), x.Literal(30))},
            {
                "sumPrice": x.Aggregate("SUM", x.Field("price", "A")),
                "startTime": first("rowtime"),
                "endTime": last("rowtime"),
            },
            skip,
        ),
        finished=False,
    )


flink_skip_past = flink_skip("PAST LAST ROW", (26, 1, 4), (17, 5, 7))
flink_skip_next = flink_skip("TO NEXT ROW", (26, 1, 4), (24, 2, 5), (25, 3, 6), (22, 4, 7), (17, 5, 7))
flink_skip_last = flink_skip("TO LAST A", (26, 1, 4), (25, 3, 6), (17, 5, 7))
