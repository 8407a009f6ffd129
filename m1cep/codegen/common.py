"""Pieces that the generators of all plans share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.model.stream import EVENT_ID

if TYPE_CHECKING:
    from m1cep.codegen.expr import ExprWriter
    from m1cep.codegen.module import Source
    from m1cep.model.stream import Stream
    from m1cep.plan.ir import Col
    from m1cep.plan.plans import Output


def identifier(name: str) -> str:
    """A name that a person chose, as part of a Python name."""
    return name if f"x{name}".isidentifier() and name.isascii() else "v_" + name.encode("utf-8", "surrogatepass").hex()


def event_id_source(stream: Stream, row: str = "r") -> str:
    """Source of an event's id: its event_id column, or a digest of its contents where it has none."""
    column = stream.by_name.get(EVENT_ID)
    if column is None:
        return f"event_digest({row})"
    text = f"{row}.{column.attr}" if column.type.kind == "STRING" else f"str({row}.{column.attr})"
    return text if not column.nullable else f"({text} if {row}.{column.attr} is not None else event_digest({row}))"


def event_id_attrs(stream: Stream) -> tuple[str, ...] | None:
    """The attributes from which ``event_id_source`` takes the id; None where it may need the whole row."""
    column = stream.by_name.get(EVENT_ID)
    return None if column is None or column.nullable else (column.attr,)


def key_source(key: tuple[Col, ...], row: str = "r") -> str:
    """Source of the partition key: the value itself for one column, a tuple for several, None for none.

    Equal numbers that are written differently (1.0 and 1.00, 0.0 and -0.0) are one key, and spelt alike in the alert.
    """
    if not key:
        return "None"
    if len(key) == 1:
        return _key_part(key[0], row)
    return "(" + ", ".join(_key_part(k, row) for k in key) + ")"


def _key_part(column: Col, row: str) -> str:
    source = f"{row}.{column.attr}"
    match column.type.kind:
        case "DECIMAL":
            source, guarded = f"plain_decimal({source})", source
        case "DOUBLE":
            source, guarded = f"({source} + 0.0)", source
        case _:
            return source
    return f"(None if {guarded} is None else {source})" if column.nullable else source


def key_parts(key: tuple[Col, ...], variable: str = "k") -> dict[str, str]:
    """Source of each key column's value, given the key."""
    if len(key) == 1:
        return {key[0].name: variable}
    return {k.name: f"{variable}[{i}]" for i, k in enumerate(key)}


def add_key(out: Source, key: tuple[Col, ...]) -> None:
    """``key(r)``: the partition key. Where it is columns as they stand, nothing of it runs as Python."""
    attrs = [column.attr for column in key]
    if attrs and all(_key_part(column, "r") == f"r.{column.attr}" for column in key):
        out.add(f"key = attrgetter({', '.join(map(repr, attrs))})")
    else:
        out.add("def key(r):")
        out.add(f"return {key_source(key)}", indent=1)
    out.add()


def add_key_dict(out: Source, key: tuple[Col, ...]) -> None:
    """``key_dict(k)``: the key as the alert shows it."""
    out.add("def key_dict(k):")
    body = ", ".join(f"{name!r}: {source}" for name, source in key_parts(key).items())
    out.add(f"return {{{body}}}", indent=1)
    out.add()


def row_dict(writer: ExprWriter, select: tuple[Output, ...]) -> str:
    """Source of the SELECT list as a dict."""
    return "{" + ", ".join(f"{o.name!r}: {writer.value(o.expr)}" for o in select) + "}"
