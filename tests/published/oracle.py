"""Oracle: the Data Warehousing Guide, SQL for Pattern Matching; and an article of oracle-base.com.

Oracle Database Data Warehousing Guide, SQL for Pattern Matching.
"""

from reference import expressions as x
from reference import patterns as p
from reference.query import ALL_ROWS, Query

from published.example import Example, at, compare, count, falls, first, last, plus, rises, seq, star

ORACLE = "https://docs.oracle.com/en/database/oracle/oracle-database/21/dwhsg/sql-pattern-matching-data-warehouses.html"
TICKER = [
    {"symbol": "ACME", "tstamp": at(f"2011-04-{day:02}"), "price": price}
    for day, price in enumerate([12, 17, 19, 21, 25, 12, 15, 20, 24, 25, 19, 15, 25, 25, 14, 12, 14, 24, 23, 22], 1)
]
V = {"DOWN": falls("DOWN"), "UP": rises("UP")}
V_SHAPE = seq("STRT", plus("DOWN"), plus("UP"))
W_SHAPE = seq("STRT", plus("DOWN"), plus("UP"), plus("DOWN"), plus("UP"))


def ticker_query(*args, **more):
    return Query(*args, key="symbol", time="tstamp", **more)


def april(day):
    return at(f"2011-04-{day:02}")


oracle_v_one_row = Example(
    ORACLE,  # Example "Simple V-Shape with 1 Row Output per Match"
    "Ticker",
    TICKER,
    """SELECT * FROM Ticker MATCH_RECOGNIZE (
         PARTITION BY symbol
         ORDER BY tstamp
         MEASURES  STRT.tstamp AS start_tstamp, LAST(DOWN.tstamp) AS bottom_tstamp, LAST(UP.tstamp) AS end_tstamp
         ONE ROW PER MATCH
         AFTER MATCH SKIP TO LAST UP
         PATTERN (STRT DOWN+ UP+)
         DEFINE DOWN AS DOWN.price < PREV(DOWN.price), UP AS UP.price > PREV(UP.price)) MR""",
    "symbol start_tstamp bottom_tstamp end_tstamp",
    [
        ("ACME", april(5), april(6), april(10)),
        ("ACME", april(10), april(12), april(13)),
        ("ACME", april(14), april(16), april(18)),
    ],
    ticker_query(
        V_SHAPE,
        V,
        {
            "start_tstamp": x.Field("tstamp", "STRT"),
            "bottom_tstamp": last("tstamp", "DOWN"),
            "end_tstamp": last("tstamp", "UP"),
        },
        "TO LAST UP",
    ),
)
oracle_v_all_rows = Example(
    ORACLE,  # Example "Simple V-Shape with All Rows Output per Match"
    "Ticker",
    TICKER,
    """SELECT * FROM Ticker MATCH_RECOGNIZE (
         PARTITION BY symbol
         ORDER BY tstamp
         MEASURES  STRT.tstamp AS start_tstamp, FINAL LAST(DOWN.tstamp) AS bottom_tstamp,
                   FINAL LAST(UP.tstamp) AS end_tstamp, MATCH_NUMBER() AS match_num, CLASSIFIER() AS var_match
         ALL ROWS PER MATCH
         AFTER MATCH SKIP TO LAST UP
         PATTERN (STRT DOWN+ UP+)
         DEFINE DOWN AS DOWN.price < PREV(DOWN.price), UP AS UP.price > PREV(UP.price)) MR""",
    "symbol tstamp start_tstamp bottom_tstamp end_tstamp match_num var_match price",
    [
        ("ACME", april(day), april(begin), april(bottom), april(end), number, variable, price)
        for begin, bottom, end, number, matched in [
            (
                5,
                6,
                10,
                1,
                [
                    (5, "STRT", 25),
                    (6, "DOWN", 12),
                    *[(d, "UP", v) for d, v in zip(range(7, 11), (15, 20, 24, 25), strict=True)],
                ],
            ),
            (10, 12, 13, 2, [(10, "STRT", 25), (11, "DOWN", 19), (12, "DOWN", 15), (13, "UP", 25)]),
            (14, 16, 18, 3, [(14, "STRT", 25), (15, "DOWN", 14), (16, "DOWN", 12), (17, "UP", 14), (18, "UP", 24)]),
        ]
        for day, variable, price in matched
    ],
    ticker_query(
        V_SHAPE,
        V,
        {
            "start_tstamp": x.Field("tstamp", "STRT"),
            "bottom_tstamp": last("tstamp", "DOWN", mode="FINAL"),
            "end_tstamp": last("tstamp", "UP", mode="FINAL"),
            "match_num": x.MatchNumber(),
            "var_match": x.Classifier(),
        },
        "TO LAST UP",
        ALL_ROWS,
    ),
)
oracle_aggregates = Example(
    ORACLE,  # Example "Pattern Match with an Aggregate on a Variable"
    "Ticker",
    TICKER,
    """SELECT * FROM Ticker MATCH_RECOGNIZE (
         PARTITION BY symbol
         ORDER BY tstamp
         MEASURES  MATCH_NUMBER() AS match_num, CLASSIFIER() AS var_match, FINAL COUNT(UP.tstamp) AS up_days,
                   FINAL COUNT(tstamp) AS total_days, RUNNING COUNT(tstamp) AS cnt_days, price - STRT.price AS price_dif
         ALL ROWS PER MATCH
         AFTER MATCH SKIP TO LAST UP
         PATTERN (STRT DOWN+ UP+)
         DEFINE DOWN AS DOWN.price < PREV(DOWN.price), UP AS UP.price > PREV(UP.price)) MR""",
    "tstamp match_num var_match up_days total_days cnt_days price_dif price",
    [
        (april(5), 1, "STRT", 4, 6, 1, 0, 25),
        (april(6), 1, "DOWN", 4, 6, 2, -13, 12),
        (april(7), 1, "UP", 4, 6, 3, -10, 15),
        (april(8), 1, "UP", 4, 6, 4, -5, 20),
        (april(9), 1, "UP", 4, 6, 5, -1, 24),
        (april(10), 1, "UP", 4, 6, 6, 0, 25),
        (april(10), 2, "STRT", 1, 4, 1, 0, 25),
        (april(11), 2, "DOWN", 1, 4, 2, -6, 19),
        (april(12), 2, "DOWN", 1, 4, 3, -10, 15),
        (april(13), 2, "UP", 1, 4, 4, 0, 25),
        (april(14), 3, "STRT", 2, 5, 1, 0, 25),
        (april(15), 3, "DOWN", 2, 5, 2, -11, 14),
        (april(16), 3, "DOWN", 2, 5, 3, -13, 12),
        (april(17), 3, "UP", 2, 5, 4, -11, 14),
        (april(18), 3, "UP", 2, 5, 5, -1, 24),
    ],
    ticker_query(
        V_SHAPE,
        V,
        {
            "match_num": x.MatchNumber(),
            "var_match": x.Classifier(),
            "up_days": x.Aggregate("COUNT", x.Field("tstamp", "UP"), mode="FINAL"),
            "total_days": x.Aggregate("COUNT", x.Field("tstamp"), mode="FINAL"),
            "cnt_days": x.Aggregate("COUNT", x.Field("tstamp"), mode="RUNNING"),
            "price_dif": x.Binary("-", x.Field("price"), x.Field("price", "STRT")),
        },
        "TO LAST UP",
        ALL_ROWS,
    ),
)
oracle_w = Example(
    ORACLE,  # Example "Pattern Match for a W-Shape"
    "Ticker",
    TICKER,
    """SELECT * FROM Ticker MATCH_RECOGNIZE (
         PARTITION BY symbol
         ORDER BY tstamp
         MEASURES  MATCH_NUMBER() AS match_num, CLASSIFIER() AS var_match, STRT.tstamp AS start_tstamp,
                   FINAL LAST(UP.tstamp) AS end_tstamp
         ALL ROWS PER MATCH
         AFTER MATCH SKIP TO LAST UP
         PATTERN (STRT DOWN+ UP+ DOWN+ UP+)
         DEFINE DOWN AS DOWN.price < PREV(DOWN.price), UP AS UP.price > PREV(UP.price)) MR""",
    "symbol tstamp match_num var_match start_tstamp end_tstamp price",
    [
        ("ACME", april(day), 1, variable, april(5), april(13), price)
        for day, variable, price in [
            (5, "STRT", 25),
            (6, "DOWN", 12),
            (7, "UP", 15),
            (8, "UP", 20),
            (9, "UP", 24),
            (10, "UP", 25),
            (11, "DOWN", 19),
            (12, "DOWN", 15),
            (13, "UP", 25),
        ]
    ],
    ticker_query(
        W_SHAPE,
        V,
        {
            "match_num": x.MatchNumber(),
            "var_match": x.Classifier(),
            "start_tstamp": x.Field("tstamp", "STRT"),
            "end_tstamp": last("tstamp", "UP", mode="FINAL"),
        },
        "TO LAST UP",
        ALL_ROWS,
    ),
)

CLICKS = sorted(
    (
        {"Time_Stamp": time, "User_ID": user}
        for user, times in {
            "Mary": (1, 11, 23, 34, 44, 53, 63),
            "Richard": (3, 13, 23, 33, 43, 54, 63),
            "Sam": (2, 12, 22, 32, 43, 47, 48, 59, 60, 68),
        }.items()
        for time in times
    ),
    key=lambda row: row["Time_Stamp"],
)
SESSION = {
    "s": x.Binary(
        "<=", x.Binary("-", x.Field("Time_Stamp", "s"), x.Shift("PREV", x.Field("Time_Stamp", "s"))), x.Literal(10)
    )
}
oracle_sessions = Example(
    ORACLE,  # Example "Simple Sessionization for Clickstream Data"
    "Events",
    CLICKS,
    """SELECT Time_Stamp, User_ID, session_id FROM Events MATCH_RECOGNIZE (
         PARTITION BY User_ID ORDER BY Time_Stamp
         MEASURES match_number() AS session_id
         ALL ROWS PER MATCH
         PATTERN (b s*)
         DEFINE s AS (s.Time_Stamp - PREV(s.Time_Stamp) <= 10))""",
    "Time_Stamp User_ID session_id",
    [
        (time, user, session)
        for user, sessions in [
            ("Mary", [(1, 11), (23,), (34, 44, 53, 63)]),
            ("Richard", [(3, 13, 23, 33, 43), (54, 63)]),
            ("Sam", [(2, 12, 22, 32), (43, 47, 48), (59, 60, 68)]),
        ]
        for session, times in enumerate(sessions, 1)
        for time in times
    ],
    Query(
        seq("b", star("s")),
        SESSION,
        {"session_id": x.MatchNumber()},
        rows_per_match=ALL_ROWS,
        key="User_ID",
        time="Time_Stamp",
    ),
)
oracle_sessions_aggregated = Example(
    ORACLE,  # Example "Simple Sessionization with Aggregation"
    "Events",
    CLICKS,
    """SELECT * FROM Events MATCH_RECOGNIZE (
         PARTITION BY User_ID ORDER BY Time_Stamp
         MEASURES match_number() AS session_id, COUNT(*) AS no_of_events, FIRST(Time_Stamp) AS start_time,
                  LAST(Time_Stamp) - FIRST(Time_Stamp) AS duration
         ONE ROW PER MATCH
         PATTERN (b s*)
         DEFINE s AS (s.Time_Stamp - PREV(s.Time_Stamp) <= 10))""",
    "User_ID session_id no_of_events start_time duration",
    [
        ("Mary", 1, 2, 1, 10),
        ("Mary", 2, 1, 23, 0),
        ("Mary", 3, 4, 34, 29),
        ("Richard", 1, 5, 3, 40),
        ("Richard", 2, 2, 54, 9),
        ("Sam", 1, 4, 2, 30),
        ("Sam", 2, 3, 43, 5),
        ("Sam", 3, 3, 59, 9),
    ],
    Query(
        seq("b", star("s")),
        SESSION,
        {
            "session_id": x.MatchNumber(),
            "no_of_events": count(),
            "start_time": first("Time_Stamp"),
            "duration": x.Binary("-", last("Time_Stamp"), first("Time_Stamp")),
        },
        key="User_ID",
        time="Time_Stamp",
    ),
)

# oracle-base.com, an article on the same feature with its own data and printed results.
ORACLE_BASE = "https://oracle-base.com/articles/12c/pattern-matching-in-oracle-database-12cr1"
SALES = [
    {"id": n, "product": "TWINKIES", "tstamp": at(f"2014-10-{n:02}"), "units_sold": units}
    for n, units in enumerate([17, 19, 23, 23, 16, 10, 14, 16, 15, 17, 23, 30, 31, 29, 25, 21, 35, 46, 45, 30], 1)
]
AUDIT = [
    {
        "id": n,
        "shop": "1",
        "product": {"T": "TWINKIES", "D": "DINGDONGS", "H": "HOHOS"}[c],
        "tstamp": at(f"2014-10-01 12:00:{n:02}"),
    }
    for n, c in enumerate("TTDHHTTDDHHTTDDHTTTT", 1)
]


def october(day):
    return at(f"2014-10-{day:02}")


oracle_base_peaks = Example(
    ORACLE_BASE,
    "sales_history",
    SALES,
    """SELECT * FROM sales_history MATCH_RECOGNIZE (
         PARTITION BY product
         ORDER BY tstamp
         MEASURES  STRT.tstamp AS start_tstamp, LAST(UP.tstamp) AS peak_tstamp, LAST(DOWN.tstamp) AS end_tstamp,
                   MATCH_NUMBER() AS mno
         ONE ROW PER MATCH
         AFTER MATCH SKIP TO LAST DOWN
         PATTERN (STRT UP+ FLAT* DOWN+)
         DEFINE UP AS UP.units_sold > PREV(UP.units_sold),
                FLAT AS FLAT.units_sold = PREV(FLAT.units_sold),
                DOWN AS DOWN.units_sold < PREV(DOWN.units_sold)) MR""",
    "product start_tstamp peak_tstamp end_tstamp mno",
    [
        ("TWINKIES", october(1), october(3), october(6), 1),
        ("TWINKIES", october(6), october(8), october(9), 2),
        ("TWINKIES", october(9), october(13), october(16), 3),
        ("TWINKIES", october(16), october(18), october(20), 4),
    ],
    Query(
        seq("STRT", plus("UP"), star("FLAT"), plus("DOWN")),
        {
            "UP": rises("UP", "units_sold"),
            "DOWN": falls("DOWN", "units_sold"),
            "FLAT": x.Binary("=", x.Field("units_sold"), x.Shift("PREV", x.Field("units_sold"))),
        },
        {
            "start_tstamp": x.Field("tstamp", "STRT"),
            "peak_tstamp": last("tstamp", "UP"),
            "end_tstamp": last("tstamp", "DOWN"),
            "mno": x.MatchNumber(),
        },
        "TO LAST DOWN",
        key="product",
    ),
)
oracle_base_dip = Example(
    ORACLE_BASE,
    "sales_history",
    SALES,
    """SELECT * FROM sales_history MATCH_RECOGNIZE (
         PARTITION BY product
         ORDER BY tstamp
         MEASURES  STRT.tstamp AS start_tstamp, FINAL LAST(UP.tstamp) AS peak_tstamp, MATCH_NUMBER() AS mno,
                   CLASSIFIER() AS cls
         ALL ROWS PER MATCH
         AFTER MATCH SKIP TO LAST DOWN
         PATTERN (STRT UP+ DOWN{1} UP+)
         DEFINE UP AS UP.units_sold > PREV(UP.units_sold), DOWN AS DOWN.units_sold < PREV(DOWN.units_sold)) MR""",
    "tstamp start_tstamp peak_tstamp mno cls id",
    [
        (october(day), october(6), october(13), 1, cls, day)
        for day, cls in zip(range(6, 14), ["STRT", "UP", "UP", "DOWN", "UP", "UP", "UP", "UP"], strict=True)
    ],
    Query(
        seq("STRT", plus("UP"), p.Loop(p.Var("DOWN"), 1, 1), plus("UP")),
        {"UP": rises("UP", "units_sold"), "DOWN": falls("DOWN", "units_sold")},
        {
            "start_tstamp": x.Field("tstamp", "STRT"),
            "peak_tstamp": last("tstamp", "UP", mode="FINAL"),
            "mno": x.MatchNumber(),
            "cls": x.Classifier(),
        },
        "TO LAST DOWN",
        ALL_ROWS,
        key="product",
    ),
)
PRODUCTS = ("TWINKIES", "DINGDONGS", "HOHOS")
oracle_base_runs = Example(
    ORACLE_BASE,  # there without PARTITION BY; our column "shop" is constant
    "sales_audit",
    AUDIT,
    """SELECT * FROM sales_audit MATCH_RECOGNIZE (
         PARTITION BY shop
         ORDER BY tstamp
         MEASURES  FIRST(TWINKIES.tstamp) AS start_tstamp, FINAL LAST(TWINKIES.tstamp) AS end_tstamp,
                   MATCH_NUMBER() AS mno, CLASSIFIER() AS cls
         ALL ROWS PER MATCH
         AFTER MATCH SKIP TO LAST TWINKIES
         PATTERN(TWINKIES+ (DINGDONGS | HOHOS){3} TWINKIES+)
         DEFINE TWINKIES AS TWINKIES.product='TWINKIES', DINGDONGS AS DINGDONGS.product='DINGDONGS',
                HOHOS AS HOHOS.product='HOHOS') MR""",
    "start_tstamp end_tstamp mno cls id product",
    [
        (AUDIT[begin - 1]["tstamp"], AUDIT[end - 1]["tstamp"], mno, AUDIT[n - 1]["product"], n, AUDIT[n - 1]["product"])
        for mno, begin, end in [(1, 1, 7), (2, 12, 20)]
        for n in range(begin, end + 1)
    ],
    Query(
        seq(plus("TWINKIES"), p.Loop(p.Alt((p.Var("DINGDONGS"), p.Var("HOHOS"))), 3, 3), plus("TWINKIES")),
        {name: compare("product", "=", name, name) for name in PRODUCTS},
        {
            "start_tstamp": first("tstamp", "TWINKIES"),
            "end_tstamp": last("tstamp", "TWINKIES", mode="FINAL"),
            "mno": x.MatchNumber(),
            "cls": x.Classifier(),
        },
        "TO LAST TWINKIES",
        ALL_ROWS,
        key="shop",
    ),
)
