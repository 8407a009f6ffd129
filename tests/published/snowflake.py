"""Snowflake: the guide to MATCH_RECOGNIZE and its reference page.

LAG and LEAD are our PREV and NEXT, MATCH_SEQUENCE_NUMBER() is COUNT(*) of the rows so far. Snowflake's LAG and LEAD end at
the match's edges; SQL's PREV and NEXT, and ours, at the partition's: the page's example of LAG and LEAD as measures prints
NULL at the edges for that reason, and is not here.
"""

from reference import expressions as x
from reference import patterns as p
from reference.query import ALL_ROWS, OMIT_EMPTY, UNMATCHED, Query

from published.example import UP_DOWN, Example, at, compare, count, falls, first, last, plus, rises, seq, star

SNOWFLAKE = "https://docs.snowflake.com/en/user-guide/match-recognize-introduction"
SNOWFLAKE_REFERENCE = "https://docs.snowflake.com/en/sql-reference/constructs/match_recognize"


def day(number):
    return at(f"2020-10-{number:02}")


PRICES = {"ABCD": [50, 36, 39, 42, 30, 47, 71, 80, 75, 63], "XYZ": [89, 24, 37, 63, 65, 56, 50, 54, 30, 32]}
STOCK = [
    {"company": company, "price_date": day(n + 1), "price": prices[n]}
    for n in range(10)
    for company, prices in PRICES.items()
]


def stock_query(*args, **more):
    return Query(*args, key="company", time="price_date", **more)


def of(company):
    return lambda row: row["company"] == company


LESS_THAN_45 = {
    "LESS_THAN_45": compare("price", "<", 45.0),
    "DECREASED_10_PERCENT": x.Binary(
        ">=", x.Binary("*", x.Shift("PREV", x.Field("price")), x.Literal(0.9)), x.Field("price")
    ),
    "INCREASED_05_PERCENT": x.Binary(
        "<=", x.Binary("*", x.Shift("PREV", x.Field("price")), x.Literal(1.05)), x.Field("price")
    ),
    "UP": rises(None),
    "DOWN": falls(None),
}

snowflake_v = Example(
    SNOWFLAKE,
    "stock_price_history",
    STOCK,
    """SELECT * FROM stock_price_history
         MATCH_RECOGNIZE(
           PARTITION BY company
           ORDER BY price_date
           MEASURES
             MATCH_NUMBER() AS match_number, FIRST(price_date) AS start_date, LAST(price_date) AS end_date,
             COUNT(*) AS rows_in_sequence, COUNT(row_with_price_decrease.*) AS num_decreases,
             COUNT(row_with_price_increase.*) AS num_increases
           ONE ROW PER MATCH
           AFTER MATCH SKIP TO LAST row_with_price_increase
           PATTERN(row_before_decrease row_with_price_decrease+ row_with_price_increase+)
           DEFINE
             row_with_price_decrease AS price < PREV(price),
             row_with_price_increase AS price > PREV(price))""",
    "company match_number start_date end_date rows_in_sequence num_decreases num_increases",
    [
        ("ABCD", 1, day(1), day(4), 4, 1, 2),
        ("ABCD", 2, day(4), day(8), 5, 1, 3),
        ("XYZ", 1, day(1), day(5), 5, 1, 3),
        ("XYZ", 2, day(5), day(8), 4, 2, 1),
        ("XYZ", 3, day(8), day(10), 3, 1, 1),
    ],
    stock_query(
        seq("ANY_ROW", plus("DOWN"), plus("UP")),
        UP_DOWN,
        {
            "match_number": x.MatchNumber(),
            "start_date": first("price_date"),
            "end_date": last("price_date"),
            "rows_in_sequence": count(),
            "num_decreases": count("DOWN"),
            "num_increases": count("UP"),
        },
        "TO LAST UP",
    ),
)
snowflake_rows = Example(
    SNOWFLAKE_REFERENCE,  # "Report all rows for all matches for one company"
    "stock_price_history",
    STOCK,
    """SELECT price_date, match_number, msq, price, cl FROM
         (SELECT * FROM stock_price_history WHERE company='ABCD') MATCH_RECOGNIZE(
           PARTITION BY company
           ORDER BY price_date
           MEASURES MATCH_NUMBER() AS match_number, COUNT(*) AS msq, CLASSIFIER() AS cl
           ALL ROWS PER MATCH
           PATTERN(ANY_ROW UP+)
           DEFINE ANY_ROW AS TRUE, UP AS price > PREV(price))""",
    "price_date match_number msq price cl",
    [
        (day(2), 1, 1, 36, "ANY_ROW"),
        (day(3), 1, 2, 39, "UP"),
        (day(4), 1, 3, 42, "UP"),
        (day(5), 2, 1, 30, "ANY_ROW"),
        (day(6), 2, 2, 47, "UP"),
        (day(7), 2, 3, 71, "UP"),
        (day(8), 2, 4, 80, "UP"),
    ],
    stock_query(
        seq("ANY_ROW", plus("UP")),
        UP_DOWN,
        {"match_number": x.MatchNumber(), "msq": count(), "cl": x.Classifier()},
        rows_per_match=ALL_ROWS,
    ),
    of("ABCD"),
)
# The page compares with the average of the whole partition by a window function, which a stream cannot know before its end:
# the averages, 53.3 and 50, are written out.
OVERAVG = "(company = 'ABCD' AND price > 53.3) OR (company = 'XYZ' AND price > 50.0)"
OVERAVG_TREE = {
    "OVERAVG": x.Or(
        x.And(compare("company", "=", "ABCD"), compare("price", ">", 53.3)),
        x.And(compare("company", "=", "XYZ"), compare("price", ">", 50.0)),
    )
}
snowflake_omit_empty = Example(
    SNOWFLAKE_REFERENCE,  # "Omit empty matches"
    "stock_price_history",
    STOCK,
    f"""SELECT * FROM stock_price_history MATCH_RECOGNIZE(
          PARTITION BY company
          ORDER BY price_date
          MEASURES MATCH_NUMBER() AS match_number
          ALL ROWS PER MATCH OMIT EMPTY MATCHES
          PATTERN(OVERAVG*)
          DEFINE OVERAVG AS {OVERAVG})""",
    "company price_date price match_number",
    [
        ("ABCD", day(7), 71, 7),
        ("ABCD", day(8), 80, 7),
        ("ABCD", day(9), 75, 7),
        ("ABCD", day(10), 63, 7),
        ("XYZ", day(1), 89, 1),
        ("XYZ", day(4), 63, 4),
        ("XYZ", day(5), 65, 4),
        ("XYZ", day(6), 56, 4),
        ("XYZ", day(8), 54, 6),
    ],
    stock_query(star("OVERAVG"), OVERAVG_TREE, {"match_number": x.MatchNumber()}, rows_per_match=OMIT_EMPTY),
)
snowflake_unmatched = Example(
    SNOWFLAKE_REFERENCE,  # "Demonstrate the WITH UNMATCHED ROWS option"
    "stock_price_history",
    STOCK,
    f"""SELECT * FROM stock_price_history MATCH_RECOGNIZE(
          PARTITION BY company
          ORDER BY price_date
          MEASURES MATCH_NUMBER() AS match_number, CLASSIFIER() AS cl
          ALL ROWS PER MATCH WITH UNMATCHED ROWS
          PATTERN(OVERAVG+)
          DEFINE OVERAVG AS {OVERAVG})""",
    "company price_date price match_number cl",
    [
        (company, day(n), PRICES[company][n - 1], number, number and "OVERAVG")
        for company, numbers in [
            ("ABCD", [None] * 6 + [1] * 4),
            ("XYZ", [1, None, None, 2, 2, 2, None, 3, None, None]),
        ]
        for n, number in enumerate(numbers, 1)
    ],
    stock_query(
        plus("OVERAVG"),
        OVERAVG_TREE,
        {"match_number": x.MatchNumber(), "cl": x.Classifier()},
        rows_per_match=UNMATCHED,
    ),
)
snowflake_final = Example(
    SNOWFLAKE_REFERENCE,  # "Demonstrate symbol predicates in the MEASURES clause"; there the company is chosen outside
    "stock_price_history",
    STOCK,
    """SELECT company, price_date, price, first_price, last_price
         FROM (SELECT * FROM stock_price_history WHERE company = 'ABCD')
         MATCH_RECOGNIZE (
           PARTITION BY company
           ORDER BY price_date
           MEASURES FINAL FIRST(LT45.price) AS first_price, FINAL LAST(LT45.price) AS last_price
           ALL ROWS PER MATCH
           AFTER MATCH SKIP PAST LAST ROW
           PATTERN (LT45 LT45)
           DEFINE LT45 AS price < 45.00)""",
    "company price_date price first_price last_price",
    [
        ("ABCD", day(2), 36, 36, 39),
        ("ABCD", day(3), 39, 36, 39),
        ("ABCD", day(4), 42, 42, 30),
        ("ABCD", day(5), 30, 42, 30),
    ],
    stock_query(
        seq("LT45", "LT45"),
        {"LT45": compare("price", "<", 45.0)},
        {"first_price": first("price", "LT45", "FINAL"), "last_price": last("price", "LT45", mode="FINAL")},
        rows_per_match=ALL_ROWS,
    ),
    of("ABCD"),
)
snowflake_start_of_partition = Example(
    SNOWFLAKE,  # "Specifying rows at the beginning or end of a partition"
    "stock_price_history",
    STOCK,
    """SELECT * FROM stock_price_history
         MATCH_RECOGNIZE (
           PARTITION BY company
           ORDER BY price_date
           MEASURES MATCH_NUMBER() AS "Match #", COUNT(*) AS "Match Sequence #"
           ALL ROWS PER MATCH
           PATTERN (^ GT60)
           DEFINE GT60 AS price > 60.00)""",
    "company price_date price",
    [("XYZ", day(1), 89)],
    stock_query(
        seq(p.Anchor("^"), "GT60"),
        {"GT60": compare("price", ">", 60.0)},
        {"n": x.MatchNumber()},
        rows_per_match=ALL_ROWS,
    ),
)
snowflake_end_of_partition = Example(
    SNOWFLAKE,
    "stock_price_history",
    STOCK,
    """SELECT * FROM stock_price_history
         MATCH_RECOGNIZE (
           PARTITION BY company
           ORDER BY price_date
           MEASURES MATCH_NUMBER() AS "Match #", COUNT(*) AS "Match Sequence #"
           ALL ROWS PER MATCH
           PATTERN (GT50 $)
           DEFINE GT50 AS price > 50.00)""",
    "company price_date price",
    [("ABCD", day(10), 63)],
    stock_query(
        seq("GT50", p.Anchor("$")),
        {"GT50": compare("price", ">", 50.0)},
        {"n": x.MatchNumber()},
        rows_per_match=ALL_ROWS,
    ),
)
snowflake_running_count = Example(
    SNOWFLAKE,  # "Match number and match sequence number"
    "stock_price_history",
    STOCK,
    """SELECT * FROM (SELECT * FROM stock_price_history WHERE company = 'ABCD')
         MATCH_RECOGNIZE (
           PARTITION BY company
           ORDER BY price_date
           MEASURES MATCH_NUMBER() AS match_no, COUNT(*) AS num_rows_in_match
           ALL ROWS PER MATCH
           PATTERN (LESS_THAN_45 UP UP)
           DEFINE LESS_THAN_45 AS price < 45.00, UP AS price > PREV(price))""",
    "company price_date price match_no num_rows_in_match",
    [
        ("ABCD", day(2), 36, 1, 1),
        ("ABCD", day(3), 39, 1, 2),
        ("ABCD", day(4), 42, 1, 3),
        ("ABCD", day(5), 30, 2, 1),
        ("ABCD", day(6), 47, 2, 2),
        ("ABCD", day(7), 71, 2, 3),
    ],
    stock_query(
        seq("LESS_THAN_45", "UP", "UP"),
        LESS_THAN_45,
        {"match_no": x.MatchNumber(), "num_rows_in_match": count()},
        rows_per_match=ALL_ROWS,
    ),
    of("ABCD"),
)
snowflake_exclusion = Example(
    SNOWFLAKE,  # "Excluding rows from the output"
    "stock_price_history",
    STOCK,
    """SELECT company, price_date, price FROM stock_price_history
         MATCH_RECOGNIZE (
           PARTITION BY company
           ORDER BY price_date
           ALL ROWS PER MATCH
           PATTERN (LESS_THAN_45 {- DECREASED_10_PERCENT -} INCREASED_05_PERCENT)
           DEFINE
             LESS_THAN_45 AS price < 45.00,
             DECREASED_10_PERCENT AS PREV(price) * 0.90 >= price,
             INCREASED_05_PERCENT AS PREV(price) * 1.05 <= price)""",
    "company price_date price",
    [("ABCD", day(4), 42), ("ABCD", day(6), 47)],
    stock_query(
        seq("LESS_THAN_45", p.Exclude(p.Var("DECREASED_10_PERCENT")), "INCREASED_05_PERCENT"),
        LESS_THAN_45,
        rows_per_match=ALL_ROWS,
    ),
)
snowflake_rise_and_fall = Example(
    SNOWFLAKE,
    "stock_price_history",
    STOCK,
    """SELECT company, price_date, price FROM (SELECT * FROM stock_price_history WHERE company = 'XYZ')
         MATCH_RECOGNIZE (
           PARTITION BY company
           ORDER BY price_date
           ALL ROWS PER MATCH
           PATTERN ( LESS_THAN_45 UP UP* DOWN DOWN* )
           DEFINE LESS_THAN_45 AS price < 45.00, UP AS price > PREV(price), DOWN AS price < PREV(price))""",
    "company price_date price",
    [("XYZ", day(n), PRICES["XYZ"][n - 1]) for n in range(2, 8)],
    stock_query(seq("LESS_THAN_45", "UP", star("UP"), "DOWN", star("DOWN")), LESS_THAN_45, rows_per_match=ALL_ROWS),
    of("XYZ"),
)
snowflake_classifier = Example(
    SNOWFLAKE,  # "Returning information about the match"; CLASSIFIER is CLASSIFIER()
    "stock_price_history",
    STOCK,
    """SELECT company, price_date, price, match_no, seq_no, "Symbol Matched" FROM stock_price_history
         MATCH_RECOGNIZE (
           PARTITION BY company
           ORDER BY price_date
           MEASURES MATCH_NUMBER() AS match_no, COUNT(*) AS seq_no, CLASSIFIER() AS "Symbol Matched"
           ALL ROWS PER MATCH
           PATTERN (LESS_THAN_45 DECREASED_10_PERCENT INCREASED_05_PERCENT)
           DEFINE
             LESS_THAN_45 AS price < 45.00,
             DECREASED_10_PERCENT AS PREV(price) * 0.90 >= price,
             INCREASED_05_PERCENT AS PREV(price) * 1.05 <= price)""",
    "company price_date price match_no seq_no",
    [("ABCD", day(4), 42, 1, 1), ("ABCD", day(5), 30, 1, 2), ("ABCD", day(6), 47, 1, 3)],
    stock_query(
        seq("LESS_THAN_45", "DECREASED_10_PERCENT", "INCREASED_05_PERCENT"),
        LESS_THAN_45,
        {"match_no": x.MatchNumber(), "seq_no": count()},
        rows_per_match=ALL_ROWS,
    ),
)
snowflake_minimum = Example(
    SNOWFLAKE,
    "stock_price_history",
    STOCK,
    """SELECT * FROM stock_price_history
         MATCH_RECOGNIZE (
           PARTITION BY company
           ORDER BY price_date
           MEASURES MATCH_NUMBER() AS match_no, COUNT(*) AS seq_no
           ALL ROWS PER MATCH
           PATTERN (MINIMUM_37 UP UP)
           DEFINE MINIMUM_37 AS price >= 37.00, UP AS price > PREV(price))""",
    "company price_date price match_no seq_no",
    [
        ("ABCD", day(6), 47, 1, 1),
        ("ABCD", day(7), 71, 1, 2),
        ("ABCD", day(8), 80, 1, 3),
        ("XYZ", day(3), 37, 1, 1),
        ("XYZ", day(4), 63, 1, 2),
        ("XYZ", day(5), 65, 1, 3),
    ],
    stock_query(
        seq("MINIMUM_37", "UP", "UP"),
        {"MINIMUM_37": compare("price", ">=", 37.0), "UP": rises(None)},
        {"match_no": x.MatchNumber(), "seq_no": count()},
        rows_per_match=ALL_ROWS,
    ),
)
snowflake_permute = Example(
    SNOWFLAKE_REFERENCE,  # "Match a spike up or down"
    "stock_price_history",
    STOCK,
    """SELECT * FROM stock_price_history MATCH_RECOGNIZE(
         PARTITION BY company
         ORDER BY price_date
         MEASURES MATCH_NUMBER() AS match_number, FIRST(price_date) AS "start", LAST(price_date) AS "end",
                  COUNT(UP.price) AS ups, COUNT(*) AS price_count, LAST(CLASSIFIER()) = 'DOWN' AS up_spike
         AFTER MATCH SKIP TO NEXT ROW
         PATTERN(ANY_ROW PERMUTE(UP{2}, DOWN+))
         DEFINE ANY_ROW AS TRUE, UP AS price > PREV(price), DOWN AS price < PREV(price))""",
    "company match_number start end ups price_count up_spike",
    [
        ("ABCD", 1, day(1), day(4), 2, 4, False),
        ("ABCD", 2, day(2), day(5), 2, 4, True),
        ("ABCD", 3, day(4), day(7), 2, 4, False),
        ("ABCD", 4, day(6), day(10), 2, 5, True),
        ("XYZ", 1, day(1), day(4), 2, 4, False),
        ("XYZ", 2, day(3), day(7), 2, 5, True),
    ],
    stock_query(
        seq("ANY_ROW", p.Permute((p.Loop(p.Var("UP"), 2, 2), plus("DOWN")))),
        UP_DOWN,
        {
            "match_number": x.MatchNumber(),
            "start": first("price_date"),
            "end": last("price_date"),
            "ups": x.Aggregate("COUNT", x.Field("price", "UP")),
            "price_count": count(),
            "up_spike": x.Binary("=", x.Nav("LAST", x.Classifier()), x.Literal("DOWN")),
        },
        "TO NEXT ROW",
    ),
)
snowflake_w = Example(
    SNOWFLAKE_REFERENCE,  # "Match multiple Vs"
    "stock_price_history",
    STOCK,
    """SELECT * FROM stock_price_history MATCH_RECOGNIZE(
         PARTITION BY company
         ORDER BY price_date
         MEASURES MATCH_NUMBER() AS match_number, FIRST(price_date) AS "start", LAST(price_date) AS "end",
                  COUNT(*) AS price_count
         AFTER MATCH SKIP TO NEXT ROW
         PATTERN(ANY_ROW DOWN+ UP+ DOWN+ UP+)
         DEFINE ANY_ROW AS TRUE, UP AS price > PREV(price), DOWN AS price < PREV(price))""",
    "company match_number start end price_count",
    [
        ("ABCD", 1, day(1), day(8), 8),
        ("XYZ", 1, day(1), day(8), 8),
        ("XYZ", 2, day(5), day(10), 6),
        ("XYZ", 3, day(6), day(10), 5),
    ],
    stock_query(
        seq("ANY_ROW", plus("DOWN"), plus("UP"), plus("DOWN"), plus("UP")),
        UP_DOWN,
        {
            "match_number": x.MatchNumber(),
            "start": first("price_date"),
            "end": last("price_date"),
            "price_count": count(),
        },
        "TO NEXT ROW",
    ),
)
snowflake_w_exclusion = Example(
    SNOWFLAKE_REFERENCE,  # "Exclude a portion of a match from the output"
    "stock_price_history",
    STOCK,
    """SELECT * FROM stock_price_history MATCH_RECOGNIZE(
         PARTITION BY company
         ORDER BY price_date
         MEASURES MATCH_NUMBER() AS match_number, CLASSIFIER() AS cl, COUNT(*) AS price_count
         ALL ROWS PER MATCH
         PATTERN(ANY_ROW {- DOWN+ -} UP+ {- DOWN+ -} UP+)
         DEFINE ANY_ROW AS TRUE, UP AS price > PREV(price), DOWN AS price < PREV(price))""",
    "company price_date price match_number cl price_count",
    [
        ("ABCD", day(1), 50, 1, "ANY_ROW", 1),
        ("ABCD", day(3), 39, 1, "UP", 3),
        ("ABCD", day(4), 42, 1, "UP", 4),
        ("ABCD", day(6), 47, 1, "UP", 6),
        ("ABCD", day(7), 71, 1, "UP", 7),
        ("ABCD", day(8), 80, 1, "UP", 8),
        ("XYZ", day(1), 89, 1, "ANY_ROW", 1),
        ("XYZ", day(3), 37, 1, "UP", 3),
        ("XYZ", day(4), 63, 1, "UP", 4),
        ("XYZ", day(5), 65, 1, "UP", 5),
        ("XYZ", day(8), 54, 1, "UP", 8),
    ],
    stock_query(
        seq("ANY_ROW", p.Exclude(plus("DOWN")), plus("UP"), p.Exclude(plus("DOWN")), plus("UP")),
        UP_DOWN,
        {"match_number": x.MatchNumber(), "cl": x.Classifier(), "price_count": count()},
        rows_per_match=ALL_ROWS,
    ),
)
