"""Trino: the announcement of MATCH_RECOGNIZE and its reference page.

The announcement prints one result; the reference page states what each clause does with its V-shape query. The statements
are put to the announcement's data.
"""

from reference import expressions as x
from reference import patterns as p
from reference.query import ALL_ROWS, Query

from published.example import UP_DOWN, Example, at, compare, count, falls, last, plus, rises, seq

TRINO_BLOG = "https://trino.io/blog/2021/05/19/row_pattern_matching"
TRINO = "https://trino.io/docs/current/sql/match-recognize.html"
ORDERS = [
    {"customer_id": customer, "order_date": at(f"2020-05-{date}"), "price": price}
    for customer, date, price in [
        ("cust_1", 11, 100),
        ("cust_1", 12, 200),
        ("cust_2", 13, 8),
        ("cust_1", 14, 100),
        ("cust_2", 15, 4),
        ("cust_1", 16, 50),
        ("cust_1", 17, 100),
        ("cust_2", 18, 6),
    ]
]
TRINO_V = seq("A", plus("B"), plus("C"), plus("D"))
TRINO_DEFINE = {
    "B": falls(None),
    "C": x.And(rises(None), x.Binary("<=", x.Field("price"), x.Field("price", "A"))),
    "D": rises(None),
}
# a fall and a rise past the starting point: 10, 8, 5, 7, 9, 12
RISE = [
    {"customer_id": "c", "order_date": at(f"2020-05-{n + 1:02}"), "price": v}
    for n, v in enumerate([10, 8, 5, 7, 9, 12])
]


def order_query(*args, **more):
    return Query(*args, key="customer_id", time="order_date", **more)


def trino_sql(pattern="A B+ C+ D+", measures="MATCH_NUMBER() AS n", rows="ALL ROWS PER MATCH", skip="PAST LAST ROW"):
    return f"""SELECT * FROM orders MATCH_RECOGNIZE(
         PARTITION BY customer_id
         ORDER BY order_date
         MEASURES {measures}
         {rows}
         AFTER MATCH SKIP {skip}
         PATTERN ({pattern})
         SUBSET U = (C, D)
         DEFINE B AS price < PREV(price), C AS price > PREV(price) AND price <= A.price, D AS price > PREV(price))"""


trino_blog = Example(
    TRINO_BLOG,
    "orders",
    ORDERS,
    """SELECT customer_id, start_price, bottom_price, final_price, start_date, final_date FROM orders
         MATCH_RECOGNIZE (
           PARTITION BY customer_id
           ORDER BY order_date
           MEASURES START.price AS start_price, LAST(DOWN.price) AS bottom_price, LAST(UP.price) AS final_price,
                    START.order_date AS start_date, LAST(UP.order_date) AS final_date
           ONE ROW PER MATCH
           AFTER MATCH SKIP PAST LAST ROW
           PATTERN (START DOWN+ UP+)
           DEFINE DOWN AS price < PREV(price), UP AS price > PREV(price))""",
    "customer_id start_price bottom_price final_price start_date final_date",
    [
        ("cust_1", 200, 50, 100, at("2020-05-12"), at("2020-05-17")),
        ("cust_2", 8, 4, 6, at("2020-05-13"), at("2020-05-18")),
    ],
    order_query(
        seq("START", plus("DOWN"), plus("UP")),
        UP_DOWN,
        {
            "start_price": x.Field("price", "START"),
            "bottom_price": last("price", "DOWN"),
            "final_price": last("price", "UP"),
            "start_date": x.Field("order_date", "START"),
            "final_date": last("order_date", "UP"),
        },
    ),
)
trino_union_variable = Example(
    TRINO,  # "LAST(U.totalprice) AS top_price returns the highest price in the match"
    "orders",
    RISE,
    trino_sql(
        measures="A.price AS starting_price, LAST(B.price) AS bottom_price, LAST(U.price) AS top_price",
        rows="ONE ROW PER MATCH",
    ),
    "customer_id starting_price bottom_price top_price",
    [("c", 10, 5, 12)],
    order_query(
        TRINO_V,
        TRINO_DEFINE,
        {"starting_price": x.Field("price", "A"), "bottom_price": last("price", "B"), "top_price": last("price", "U")},
        subsets={"U": ("C", "D")},
    ),
)
trino_exclusion = Example(
    TRINO,  # "the result consists of the initial matched row and the trailing section of rows"
    "orders",
    RISE,
    trino_sql("A {- B+ C+ -} D+"),
    "price",
    [(10,), (12,)],
    order_query(
        seq("A", p.Exclude(seq(plus("B"), plus("C"))), plus("D")),
        TRINO_DEFINE,
        {"n": x.MatchNumber()},
        rows_per_match=ALL_ROWS,
    ),
)
trino_permutation = Example(
    TRINO,  # "the most preferred option is A B C, and the least preferred option is C B A"
    "orders",
    RISE[:3],
    """SELECT * FROM orders MATCH_RECOGNIZE(
         PARTITION BY customer_id ORDER BY order_date
         MEASURES CLASSIFIER() AS label
         ALL ROWS PER MATCH
         PATTERN (PERMUTE(A, B, C))
         DEFINE A AS price <> 10)""",
    "price label",
    [(10, "B"), (8, "A"), (5, "C")],
    order_query(
        p.Permute((p.Var("A"), p.Var("B"), p.Var("C"))),
        {"A": compare("price", "<>", 10)},
        {"label": x.Classifier()},
        rows_per_match=ALL_ROWS,
    ),
)
trino_empty = Example(
    TRINO,  # "The following pattern produces an empty match for every row: PATTERN(())"; one variable stands beside it here
    "orders",
    RISE[:2],
    """SELECT * FROM orders MATCH_RECOGNIZE(
         PARTITION BY customer_id ORDER BY order_date
         MEASURES A.price AS a, PREV(price) AS before, CLASSIFIER() AS label, MATCH_NUMBER() AS n, COUNT(*) AS c, SUM(price) AS s
         ALL ROWS PER MATCH
         PATTERN (() | A)
         DEFINE A AS TRUE)""",
    "price a before label n c s",
    [(10, None, None, None, 1, 0, None), (8, None, None, None, 2, 0, None)],
    order_query(
        p.Alt((p.Nothing(), p.Var("A"))),
        {},
        {
            "a": x.Field("price", "A"),
            "before": x.Shift("PREV", x.Field("price")),
            "label": x.Classifier(),
            "n": x.MatchNumber(),
            "c": count(),
            "s": x.Aggregate("SUM", x.Field("price")),
        },
        rows_per_match=ALL_ROWS,
    ),
)
