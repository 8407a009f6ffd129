"""What a published example is, the tables of all of them, and short names for the trees that state their queries."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reference import expressions as x
from reference import patterns as p

import m1cep

STREAMS = m1cep.parse_streams(
    """
    CREATE TABLE Ticker (symbol STRING NOT NULL, tstamp TIMESTAMP(3) NOT NULL, price BIGINT, WATERMARK FOR tstamp AS tstamp)
      PARTITIONED BY (symbol) WITH ('topic' = 'ticker');
    CREATE TABLE FlinkTicker (symbol STRING NOT NULL, rowtime TIMESTAMP(3) NOT NULL, price BIGINT, tax BIGINT,
      WATERMARK FOR rowtime AS rowtime) PARTITIONED BY (symbol) WITH ('topic' = 'flink-ticker');
    CREATE TABLE Events (Time_Stamp BIGINT NOT NULL, User_ID STRING NOT NULL, WATERMARK FOR Time_Stamp AS Time_Stamp)
      PARTITIONED BY (User_ID) WITH ('topic' = 'events');
    CREATE TABLE sales_history (id BIGINT, product STRING NOT NULL, tstamp TIMESTAMP(3) NOT NULL, units_sold BIGINT,
      WATERMARK FOR tstamp AS tstamp) PARTITIONED BY (product) WITH ('topic' = 'sales');
    CREATE TABLE sales_audit (id BIGINT, product STRING, shop STRING NOT NULL, tstamp TIMESTAMP(3) NOT NULL,
      WATERMARK FOR tstamp AS tstamp) PARTITIONED BY (shop) WITH ('topic' = 'audit');
    CREATE TABLE stock_price_history (company STRING NOT NULL, price_date TIMESTAMP(3) NOT NULL, price BIGINT,
      WATERMARK FOR price_date AS price_date) PARTITIONED BY (company) WITH ('topic' = 'stock');
    CREATE TABLE orders (customer_id STRING NOT NULL, order_date TIMESTAMP(3) NOT NULL, price BIGINT,
      WATERMARK FOR order_date AS order_date) PARTITIONED BY (customer_id) WITH ('topic' = 'orders');
    """
)


def at(text):
    """Milliseconds of "2011-04-01" or "2011-04-01 10:00:00"."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@dataclass
class Example:
    """``expected`` are rows of ``columns``, in the order of the published table, which is that of key and match."""

    page: str
    stream: str
    rows: list
    sql: str
    columns: str
    expected: list
    tree: Any = None
    where: Any = None  # the outer WHERE or the filtering subquery, for the reference
    finished: bool = True  # False: the published result is that of a stream that goes on

    def published(self):
        return [dict(zip(self.columns.split(), row, strict=True)) for row in self.expected]

    def shown(self, rows):
        return [{name: row[name] for name in self.columns.split()} for row in rows]


def falls(name, column="price"):
    return x.Binary("<", x.Field(column, name), x.Shift("PREV", x.Field(column, name)))


def rises(name, column="price"):
    return x.Binary(">", x.Field(column, name), x.Shift("PREV", x.Field(column, name)))


UP_DOWN = {"UP": rises(None), "DOWN": falls(None)}


def compare(column, op, value, name=None):
    return x.Binary(op, x.Field(column, name), x.Literal(value))


def last(column, name=None, offset=0, mode=""):
    return x.Nav("LAST", x.Field(column, name), offset, mode)


def first(column, name=None, mode=""):
    return x.Nav("FIRST", x.Field(column, name), 0, mode)


def count(variable=None, mode=""):
    return x.Aggregate("COUNT", variable=variable, mode=mode)


def plus(name):
    return p.Loop(p.Var(name), 1, None)


def star(name, greedy=True):
    return p.Loop(p.Var(name), 0, None, greedy)


def seq(*parts):
    return p.Seq(tuple(p.Var(part) if isinstance(part, str) else part for part in parts))
