"""CREATE TABLE and CREATE VIEW, as in Flink SQL, to streams."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from m1cep.errors import RuleError, SourceText, nearest
from m1cep.model.stream import Branch, Column, Stream
from m1cep.model.time import in_unit
from m1cep.sql.dialect import parse
from m1cep.sql.literals import interval, number, sql_type
from m1cep.sql.nodes import position, written

if TYPE_CHECKING:
    from m1cep.model.types import SqlType


def parse_streams(ddl_text: str, name: str = "streams.sql") -> dict[str, Stream]:
    """The streams and views that a text declares, by name.

    Args:
        ddl_text: CREATE TABLE and CREATE VIEW statements; ``docs/rules.md`` has the form.
        name: of the text in messages.

    Raises:
        RuleError: a statement is not understood, or declares what cannot be.
    """
    source = SourceText(ddl_text, name)
    streams: dict[str, Stream] = {}
    for statement in parse(source):
        if not isinstance(statement, exp.Create) or statement.kind not in {"TABLE", "VIEW"}:
            raise RuleError("expected CREATE TABLE or CREATE VIEW", source, position(statement))
        stream = _table(statement, source) if statement.kind == "TABLE" else _view(statement, streams, source)
        if stream.name in streams:
            raise RuleError(f"stream {stream.name!r} is declared twice", source, position(statement.this))
        streams[stream.name] = stream
    if not streams:
        raise RuleError("expected at least one CREATE TABLE", source)
    return streams


def _table(statement: exp.Create, source: SourceText) -> Stream:
    schema = statement.this
    if not isinstance(schema, exp.Schema):
        raise RuleError("expected columns in CREATE TABLE name (...)", source, position(schema))
    name = schema.this.name
    key, options = _properties(statement, source)
    columns = [_column(c, source) for c in schema.expressions if isinstance(c, exp.ColumnDef)]
    _check_name(name, schema.this, source)
    by_name = {c.name.lower(): c for c in columns}
    if len(by_name) != len(columns) or len({c.attr.lower() for c in columns}) != len(columns):
        raise RuleError(f"two columns of {name!r} have the same name", source, position(schema.this))
    time_column, delay = _watermark(schema, by_name, source)
    for k in key:
        if k.name.lower() not in by_name:
            raise RuleError(
                f"PARTITIONED BY names {k.name!r}, which is not a column",
                source,
                position(k),
                hint=nearest(k.name, by_name),
            )
    required = {time_column, *(by_name[k.name.lower()].name for k in key)}
    return Stream(
        name=name,
        columns=tuple(Column(c.name, c.type, c.nullable and c.name not in required) for c in columns),
        time_column=time_column,
        topic=options.get("topic", name),
        key=tuple(by_name[k.name.lower()].name for k in key),
        delay=delay,
    )


def _column(node: exp.ColumnDef, source: SourceText) -> Column:
    kind = node.args.get("kind")
    if kind is None:
        raise RuleError(f"expected a type for column {node.name!r}", source, position(node))
    required = any(
        isinstance(c.args.get("kind"), exp.NotNullColumnConstraint) for c in node.args.get("constraints") or []
    )
    _check_name(node.name, node, source)
    type_ = sql_type(kind, source)
    for name, _ in type_.fields:
        _check_name(name, kind, source)
    return Column(node.name, type_, nullable=not required)


def _check_name(name: str, node: exp.Expr, source: SourceText) -> None:
    """A name must be a member's name in JSON that can be written without escapes."""
    if not name or not name.isprintable() or "\\" in name or '"' in name:
        raise RuleError(f"expected a name of printable characters, got {name!r}", source, position(node))


def _watermark(schema: exp.Schema, columns: dict[str, Column], source: SourceText) -> tuple[str, int]:
    """The event-time column and the delay, from WATERMARK FOR ts AS ts [- INTERVAL ...]."""
    found = [c for c in schema.expressions if isinstance(c, exp.WatermarkColumnConstraint)]
    if len(found) != 1:
        raise RuleError(
            f"expected one WATERMARK in stream {schema.this.name!r}, got {len(found)}",
            source,
            position(schema.this),
            hint="WATERMARK FOR ts AS ts - INTERVAL '200' MILLISECOND",
        )
    name = found[0].this.name
    column = columns.get(name.lower())
    if column is None or (column.type.kind not in {"TIMESTAMP", "BIGINT"}):
        raise RuleError("WATERMARK expects a column of type TIMESTAMP(3|6) or BIGINT", source, position(found[0].this))
    body = found[0].expression
    delay = 0
    if isinstance(body, exp.Sub) and isinstance(body.expression, exp.Interval):
        delay = in_unit(interval(body.expression, source), column.type.time_unit)
        body = body.this
    if not isinstance(body, exp.Column) or body.name.lower() != name.lower() or delay < 0:
        raise RuleError(
            "expected WATERMARK FOR ts AS ts, or AS ts - INTERVAL 'n' UNIT", source, position(found[0].this)
        )
    return column.name, delay


def _properties(statement: exp.Create, source: SourceText) -> tuple[list[exp.Expr], dict[str, str]]:
    """Columns of PARTITIONED BY, and the options of WITH."""
    key: list[exp.Expr] = []
    options: dict[str, str] = {}
    properties = statement.args.get("properties")
    for item in properties.expressions if properties is not None else []:
        if isinstance(item, exp.PartitionedByProperty):
            key = list(item.this.expressions) or [item.this]
        elif isinstance(item, exp.Property):
            value = item.args.get("value")
            if item.this is None or not item.this.name:
                raise RuleError(
                    "expected 'name' = 'value' in WITH (...)", source, position(item) or position(statement)
                )
            options[item.this.name.lower()] = value.name if value is not None else ""
        else:
            raise RuleError(f"not supported in CREATE TABLE: {written(item)}", source, position(item))
    return key, options


@dataclass(frozen=True)
class _Item:
    """One entry of a view's SELECT list."""

    name: str
    column: Column | None  # of the stream, or None for a constant
    constant: Any
    type: SqlType | None


def _view(statement: exp.Create, streams: dict[str, Stream], source: SourceText) -> Stream:
    name = statement.this.name
    selects = _selects(statement.expression, source)
    branches: list[Branch] = []
    shapes: list[list[_Item]] = []
    for select in selects:
        stream = _from(select, streams, source)
        items = [_item(e, stream, source) for e in select.expressions]
        shapes.append(items)
        branches.append(
            Branch(
                stream.name, tuple(i.column.name if i.column else None for i in items), tuple(i.constant for i in items)
            )
        )
    if len({len(s) for s in shapes}) != 1:
        raise RuleError(
            f"the SELECTs of view {name!r} have different numbers of columns", source, position(statement.this)
        )
    columns = tuple(
        _united(n, [s[n] for s in shapes], name, source, position(statement.this)) for n in range(len(shapes[0]))
    )
    for column in columns:
        _check_name(column.name, statement.this, source)
    if len({c.attr.lower() for c in columns}) != len(columns):
        raise RuleError(f"two columns of {name!r} have the same name", source, position(statement.this))
    times = {_time_at(streams[b.stream], b) for b in branches}
    place = times.pop() if len(times) == 1 else None
    if place is None:
        raise RuleError(
            f"expected the event-time column at the same place of every SELECT of view {name!r}",
            source,
            position(statement.this),
        )
    if len({streams[b.stream].time_unit for b in branches}) != 1:
        raise RuleError(
            f"the streams of view {name!r} measure event time in different units", source, position(statement.this)
        )
    return Stream(name, columns, columns[place].name, branches=tuple(branches))


def _selects(node: exp.Expr | None, source: SourceText) -> list[exp.Select]:
    if isinstance(node, exp.Union):
        if node.args.get("distinct"):
            raise RuleError("expected UNION ALL", source, position(node))
        return _selects(node.this, source) + _selects(node.expression, source)
    if isinstance(node, exp.Select):
        extra = [k for k, v in node.args.items() if v and k not in {"expressions", "from_", "kind"}]
        if extra:
            raise RuleError(
                f"a view selects columns from a stream and no more, got {extra[0].upper()}", source, position(node)
            )
        return [node]
    raise RuleError("expected SELECT ... UNION ALL SELECT ... in CREATE VIEW", source, position(node))


def _from(select: exp.Select, streams: dict[str, Stream], source: SourceText) -> Stream:
    table = select.args["from_"].this if select.args.get("from_") else None
    stream = streams.get(table.name) if isinstance(table, exp.Table) else None
    if stream is None or stream.is_view:
        raise RuleError(
            f"expected FROM a stream declared before, got {written(table)}",
            source,
            position(table or select),
            hint=nearest(table.name if table else "", streams),
        )
    return stream


def _item(node: exp.Expr, stream: Stream, source: SourceText) -> _Item:
    inner = node.this if isinstance(node, exp.Alias) else node
    if isinstance(inner, exp.Column):
        column = stream.by_name.get(inner.name.lower())
        if column is None:
            raise RuleError(
                f"stream {stream.name!r} has no column {inner.name!r}",
                source,
                position(inner),
                length=len(inner.name),
                hint=nearest(inner.name, [c.name for c in stream.columns]),
            )
        return _Item(node.alias_or_name, column, None, column.type)
    value, type_ = _constant(inner, source)
    if not node.alias:
        raise RuleError("expected AS name after a constant", source, position(node))
    return _Item(node.alias, None, value, type_)


def _constant(node: exp.Expr, source: SourceText) -> tuple[Any, SqlType | None]:
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Null):
        return None, sql_type(node.args["to"], source)
    if isinstance(node, exp.Literal):
        if node.is_string:
            return node.this, sql_type(exp.DataType.build("TEXT"), source)
        value, type_ = number(node, source)
        return (float(value) if isinstance(value, Decimal) else value), type_
    raise RuleError(
        "a view's column is a column of the stream, a constant or CAST(NULL AS type)", source, position(node)
    )


def _united(index: int, items: list[_Item], view: str, source: SourceText, pos: int) -> Column:
    types = {str(i.type) for i in items}
    if len(types) != 1 or items[0].type is None:
        raise RuleError(
            f"column {index + 1} ({items[0].name!r}) of view {view!r} has different types: {', '.join(sorted(types))}",
            source,
            pos,
        )
    nullable = any(i.column.nullable if i.column else i.constant is None for i in items)
    return Column(items[0].name, items[0].type, nullable)


def _time_at(stream: Stream, branch: Branch) -> int | None:
    return branch.columns.index(stream.time_column) if stream.time_column in branch.columns else None
