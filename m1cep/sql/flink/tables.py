"""Streams to Flink's CREATE TABLE and CREATE VIEW.

Times are BIGINT, as in the JSON: epoch milliseconds or microseconds. Each table has one column more, computed from event
time, that Flink orders by; see ``time_column``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from m1cep.model.types import BIGINT, DOUBLE, STRING, SqlType
from m1cep.sql.flink.dialect import RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.model.stream import Branch, Stream

ALERTS = "alerts"
ALERTS_TOPIC = "m1cep.alerts.flink.v1"
_TIME_COLUMN = "event_time"
_SECOND_MS, _MINUTE_MS, _HOUR_MS, _DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
_MOST_DAYS = 999_999  # what an interval of Flink holds


@dataclass(frozen=True)
class Connector:
    """Where the job's tables are: Kafka topics, or files in a folder.

    Attributes:
        broker: host:port of Kafka; used without ``folder``.
        folder: instead of Kafka, ``<folder>/<stream>.ndjson`` are read and ``<folder>/alerts`` is written.
        group: the consumer group in Kafka.
    """

    broker: str = "localhost:9092"
    folder: str | None = None
    group: str = "m1cep-flink"

    def source(self, stream: Stream) -> str:
        """WITH (...) of a stream's table."""
        if self.folder is not None:
            return self._files(f"{self.folder.rstrip('/')}/{stream.name}.ndjson")
        return self._kafka(
            stream.topic, {"properties.group.id": self.group, "scan.startup.mode": "earliest-offset"}, "json"
        )

    def sink(self) -> str:
        """WITH (...) of the alerts' table."""
        if self.folder is not None:
            return self._files(f"{self.folder.rstrip('/')}/{ALERTS}")
        return self._kafka(ALERTS_TOPIC, {"sink.delivery-guarantee": "at-least-once"}, "json")

    def _files(self, path: str) -> str:
        return _with({"connector": "filesystem", "path": path, "format": "json"})

    def _kafka(self, topic: str, more: Mapping[str, str], format_: str) -> str:
        servers = {"properties.bootstrap.servers": self.broker}
        return _with({"connector": "kafka", "topic": topic} | servers | dict(more) | {"format": format_})


def time_column(streams: Iterable[Stream]) -> str:
    """The name of the computed event-time column: one that none of the streams has."""
    taken = {c.name.lower() for s in streams for c in s.columns}
    name = _TIME_COLUMN
    while name in taken:
        name = f"flink_{name}"
    return name


def create_table(stream: Stream, connector: Connector, time: str) -> str:
    """A base stream's table. ``time`` is the computed column."""
    unit = stream.time_unit
    column = quoted(stream.by_name[stream.time_column.lower()].name)
    # An event as old as the watermark is late to Flink, and in time to M1CEP: the watermark stays one millisecond behind.
    delay_ms = (stream.delay if unit == "ms" else -(-stream.delay // 1000)) + 1
    computed = f"TO_TIMESTAMP_LTZ({column if unit == 'ms' else column + ' / 1000'}, 3)"
    lines = [f"{quoted(c.name)} {flink_type(c.type)}" for c in stream.columns]
    lines += [
        f"{quoted(time)} AS {computed}",
        f"WATERMARK FOR {quoted(time)} AS {quoted(time)} - {interval_ms(delay_ms)}",
    ]
    body = ",\n".join("  " + line for line in lines)
    return f"CREATE TABLE {quoted(stream.name)} (\n{body}\n) WITH {connector.source(stream)}"


def create_view(view: Stream, streams: Mapping[str, Stream], time: str) -> str:
    """A union view over base streams."""
    branches = "\n  UNION ALL\n".join(_branch(view, b, streams[b.stream], time) for b in view.branches)
    return f"CREATE VIEW {quoted(view.name)} AS\n{branches}"


def create_alerts(columns: Iterable[tuple[str, SqlType]], connector: Connector) -> str:
    """The table that alerts are written to: rule, severity and the SELECT list as an object."""
    row = ", ".join(f"{quoted(name)} {flink_type(type_)}" for name, type_ in columns)
    body = f"  rule STRING,\n  severity STRING,\n  `row` ROW<{row}>"
    return f"CREATE TABLE {ALERTS} (\n{body}\n) WITH {connector.sink()}"


def _branch(view: Stream, branch: Branch, stream: Stream, time: str) -> str:
    items = []
    for column, from_column, constant in zip(view.columns, branch.columns, branch.constants, strict=True):
        if from_column is None:
            items.append(f"CAST({literal(constant)} AS {flink_type(column.type)}) AS {quoted(column.name)}")
        elif from_column == column.name:
            items.append(quoted(from_column))
        else:
            items.append(f"{quoted(from_column)} AS {quoted(column.name)}")
    return f"  SELECT {', '.join([*items, quoted(time)])}\n  FROM {quoted(stream.name)}"  # noqa: S608 - text for the user, not run here


def flink_type(type_: SqlType) -> str:
    """The type of a column in Flink: as here, but for times and intervals, which are numbers."""
    match type_.kind:
        case "TIMESTAMP" | "INTERVAL":
            return "BIGINT"
        case "DECIMAL":
            return f"DECIMAL({min(type_.precision or 38, 38)}, {min(type_.scale or 0, 38)})"
        case "ARRAY":
            return f"ARRAY<{flink_type(type_.element or STRING)}>"
        case "MAP":
            return f"MAP<STRING, {flink_type(type_.element or STRING)}>"
        case "ROW":
            return f"ROW<{', '.join(f'{quoted(n)} {flink_type(t)}' for n, t in type_.fields)}>"
        case "NULL":
            return "STRING"
    return type_.kind


def quoted(name: str) -> str:
    """A name as it may stand in Flink SQL: in backquotes where it is a reserved word or has other characters."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()
    return name if plain and name.lower() not in RESERVED else "`" + name.replace("`", "``") + "`"


def literal(value: Any, type_: SqlType | None = None) -> str:
    """A constant in Flink SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float) or type_ == DOUBLE:
        return f"{float(value)!r}e0" if "e" not in repr(float(value)) else repr(float(value))  # 0.5 alone is DECIMAL
    if type_ == BIGINT and abs(int(value)) > 2**31 - 1:
        return f"CAST({value} AS BIGINT)"
    return str(value)


def interval_ms(ms: int) -> str:
    """An INTERVAL of so many milliseconds. Flink's units hold two digits each, of days six.

    >>> interval_ms(1), interval_ms(300_000), interval_ms(600_500)
    ("INTERVAL '0.001' SECOND", "INTERVAL '5' MINUTE", "INTERVAL '0 00:10:00.500' DAY TO SECOND(3)")

    Raises:
        ValueError: it is longer than an interval of Flink can be.
    """
    if ms > _MOST_DAYS * _DAY_MS:
        raise ValueError(f"{ms} ms are more than {_MOST_DAYS} days")
    for unit, name in ((_DAY_MS, "DAY"), (_HOUR_MS, "HOUR"), (_MINUTE_MS, "MINUTE"), (_SECOND_MS, "SECOND")):
        if ms and ms % unit == 0 and ms // unit < 100:
            return f"INTERVAL '{ms // unit}' {name}"
    if ms < 100 * _SECOND_MS:
        return f"INTERVAL '{ms // 1000}.{ms % 1000:03d}' SECOND"
    days, rest = divmod(ms, _DAY_MS)
    clock = f"{rest // _HOUR_MS:02d}:{rest // _MINUTE_MS % 60:02d}:{rest // 1000 % 60:02d}.{rest % 1000:03d}"
    digits = f"({len(str(days))})" if days > 99 else ""
    return f"INTERVAL '{days} {clock}' DAY{digits} TO SECOND(3)"


def _with(options: Mapping[str, str]) -> str:
    return "(\n" + ",\n".join(f"  {literal(k)} = {literal(v)}" for k, v in options.items()) + "\n)"
