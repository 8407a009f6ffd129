"""Schemas of declared streams: what an event may look like that the engine reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from m1cep.model.types import MAX_BIGINT, MAX_INT, MAX_TIME_MS, MAX_TIME_US, MIN_BIGINT, MIN_INT

if TYPE_CHECKING:
    from m1cep.model.stream import Stream
    from m1cep.model.types import SqlType

Schema = dict[str, Any]

_NUMBER = {"type": "string", "pattern": r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"}
_WHOLE = {"type": "string", "pattern": r"^\s*[+-]?[0-9]+\s*$"}
_RFC3339 = {"type": "string", "pattern": r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}"}

_TABLE = re.compile(r"CREATE\s+TABLE\s+(\w+)\s*\((.*?)\)\s*PARTITIONED", re.IGNORECASE | re.DOTALL)
_COLUMN = re.compile(r"^\s*(\w+)\s+[A-Z].*?,?\s*--\s*(.*?)\s*$")
_GOES_ON = re.compile(r"^\s*--\s*(.*?)\s*$")


def event_schema(stream: Stream, notes: dict[str, str]) -> Schema:
    """The schema of an event of a stream. Further fields are allowed, and ignored.

    Args:
        stream: not a view.
        notes: what columns mean, by name.
    """
    properties = {}
    for column in stream.columns:
        found = _nullable(_of(column.type)) if column.nullable else _of(column.type)
        properties[column.name] = found | ({"description": notes[column.name]} if column.name in notes else {})
    return {
        "title": stream.name,
        "type": "object",
        "properties": properties,
        "required": [column.name for column in stream.columns if not column.nullable],
    }


def column_notes(ddl: str) -> dict[str, dict[str, str]]:
    """The comments behind columns in CREATE TABLE statements, by table and column; a comment may go on in the next lines."""
    found: dict[str, dict[str, str]] = {}
    for table, body in _TABLE.findall(ddl):
        notes = found.setdefault(table, {})
        last = ""
        for line in body.splitlines():
            if column := _COLUMN.match(line):
                last = column[1]
                notes[last] = column[2]
            elif last and (more := _GOES_ON.match(line)):
                notes[last] += f" {more[1]}"
            else:
                last = ""
    return found


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def _of(type_: SqlType) -> Schema:
    """Values that the decoder takes: numbers may be text, times whole numbers or RFC 3339 text."""
    match type_.kind:
        case "BOOLEAN":
            return {"type": "boolean"}
        case "STRING":
            return {"type": "string"}
        case "DOUBLE" | "DECIMAL":
            return {"anyOf": [{"type": "number"}, _NUMBER]}
        case "INT":
            return {"anyOf": [{"type": "integer", "minimum": MIN_INT, "maximum": MAX_INT}, _WHOLE]}
        case "BIGINT":
            return {"anyOf": [{"type": "integer", "minimum": MIN_BIGINT, "maximum": MAX_BIGINT}, _WHOLE]}
        case "TIMESTAMP":
            most = MAX_TIME_US if type_.precision == 6 else MAX_TIME_MS
            return {"anyOf": [{"type": "integer", "minimum": 0, "maximum": most}, _WHOLE, _RFC3339]}
        case "ARRAY" if type_.element is not None:
            return {"type": "array", "items": _nullable(_of(type_.element))}
        case "MAP" if type_.element is not None:
            return {"type": "object", "additionalProperties": _nullable(_of(type_.element))}
        case "ROW":
            return {"type": "object", "properties": {name: _nullable(_of(inner)) for name, inner in type_.fields}}
    raise AssertionError(f"no column has the type {type_}")
