"""Rows of a base stream to rows of a view that unites it with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m1cep.codegen.module import Source, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m1cep.model.stream import Branch, Stream

    Convert = Callable[[Sequence[Any]], list[Any]]


def view_converters(view: Stream, streams: dict[str, Stream]) -> dict[str, Convert]:
    """For each stream that a view unites, the function from its rows to the view's."""
    return {
        name: _converter(view, streams[name], [b for b in view.branches if b.stream == name]) for name in view.inputs
    }


def _converter(view: Stream, stream: Stream, branches: list[Branch]) -> Convert:
    out = Source()
    constants: dict[str, Any] = {"Row": view.row_type}
    out.add("def convert(rows):")
    names = [f"Row({_arguments(view, stream, b, constants)})" for b in branches]
    if len(names) == 1:
        out.add(f"return [{names[0]} for r in rows]", indent=1)
    else:
        out.add(f"return [v for r in rows for v in ({', '.join(names)})]", indent=1)
    convert: Convert = load(out, f"view {view.name} from {stream.name}", constants)["convert"]
    return convert


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
