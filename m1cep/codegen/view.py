"""Rows of a base stream to rows of a view that unites it with others, or of a join that sets it beside another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m1cep.codegen.module import Source, load
from m1cep.model.joined import Joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.model.stream import Branch, Stream

    Convert = Callable[[Sequence[Any]], list[Any]]


def view_converters(view: Stream, streams: dict[str, Stream]) -> dict[str, Convert]:
    """For each stream that a view unites, the function from its rows to the view's."""
    return {name: _converter(view, streams[name]) for name in view.inputs}


def _converter(view: Stream, stream: Stream) -> Convert:
    out = Source()
    constants: dict[str, Any] = {}
    out.add("def convert(rows):")
    rows = _rows(view, stream, "Row", constants)
    if len(rows) == 1:
        out.add(f"return [{rows[0]} for r in rows]", indent=1)
    else:
        out.add(f"return [v for r in rows for v in ({', '.join(rows)})]", indent=1)
    convert: Convert = load(out, f"view {view.name} from {stream.name}", constants)["convert"]
    return convert


def _rows(view: Stream, stream: Stream, row_class: str, constants: dict[str, Any]) -> list[str]:
    """Source of each row of the view that a row ``r`` of the stream gives; of the stream itself that is ``r``."""
    if view.row_type is stream.row_type:  # the stream itself, or a lane of it
        return ["r"]
    if isinstance(view, Joined):
        constants[row_class] = view.row_type
        time = f"r.{stream.time_attr}"
        lefts = _rows(view.left, stream, "Left", constants) if stream.name in view.left.inputs else []
        rights = _rows(view.right, stream, "Right", constants) if stream.name in view.right.inputs else []
        return [f"{row_class}({time}, {a}, None)" for a in lefts] + [f"{row_class}({time}, None, {b})" for b in rights]
    constants[row_class] = view.row_type
    branches = [b for b in view.branches if b.stream == stream.name]
    return [f"{row_class}({_arguments(view, stream, b, constants)})" for b in branches]


def _arguments(view: Stream, stream: Stream, branch: Branch, constants: dict[str, Any]) -> str:
    sources: dict[str, str] = {}
    for column, from_column, constant in zip(view.columns, branch.columns, branch.constants, strict=True):
        if from_column is not None:
            sources[column.attr] = f"r.{stream.by_name[from_column.lower()].attr}"
        elif constant is None or isinstance(constant, str | int | float):
            sources[column.attr] = repr(constant)
        else:
            sources[column.attr] = f"K{len(constants)}"
            constants[sources[column.attr]] = constant
    return ", ".join(sources[f] for f in view.row_type.__struct_fields__)
