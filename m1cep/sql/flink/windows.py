"""Window table functions for Flink: TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.sql.flink.tables import quoted

if TYPE_CHECKING:
    from m1cep.sql.flink.names import Names
    from m1cep.sql.flink.rewrite import Rewriter

BOUNDS = ("window_start", "window_end")


def window_function(rewriter: Rewriter, node: exp.Expr, stream: str, names: Names) -> exp.Expr:
    """The table function over a stream's table, as text: Flink's form is ours, over the computed event time."""
    kind = node.this.name.upper()
    arguments = node.args.get("arguments") or []
    named = any(isinstance(a, exp.Kwarg) for a in arguments)
    data, time = f"TABLE {quoted(stream)}", f"DESCRIPTOR({quoted(rewriter.time)})"
    partition = node.args.get("partition_by") or []
    if partition:
        data += f" PARTITION BY {', '.join(quoted(names.column(c)[0]) for c in partition)}"
    elif kind == "SESSION":
        why = "without, Flink gives sessions that change, and alerts cannot be taken back; PARTITION BY a key"
        rewriter.report.cannot("SESSION without PARTITION BY", node, why)
    texts = [f"DATA => {data}", f"TIMECOL => {time}"] if named else [data, time]
    for argument in arguments:
        if isinstance(argument, exp.Kwarg):
            texts.append(f"{quoted(argument.this.name.upper())} => {rewriter.fixed_interval(argument.expression).name}")
        else:
            texts.append(rewriter.fixed_interval(argument).name)
    if kind in {"HOP", "CUMULATE"}:
        _check_multiple(rewriter, node, arguments)
    alias = f" AS {quoted(node.alias)}" if node.args.get("alias") is not None else ""
    return exp.Var(this=f"TABLE(\n    {kind}({', '.join(texts)})\n  ){alias}")


def _check_multiple(rewriter: Rewriter, node: exp.Expr, arguments: list[exp.Expr]) -> None:
    """Flink wants windows that are so many times the slide."""
    by_name = {a.this.name.upper(): a.expression for a in arguments if isinstance(a, exp.Kwarg)}
    slide = by_name.get("SLIDE", by_name.get("STEP", arguments[0]))
    size = by_name.get("SIZE", arguments[1])
    if rewriter.micros(size) % rewriter.micros(slide):
        rewriter.report.cannot("a window that is not a multiple of its slide", node, "Flink wants SIZE = n * SLIDE")


def epoch_ms(bound: exp.Expr) -> exp.Expr:
    """A window's bound as the number that times are here; the job's time zone is UTC."""
    text = f"UNIX_TIMESTAMP(CAST({bound.name} AS STRING)) * 1000 + EXTRACT(MILLISECOND FROM {bound.name})"
    return exp.Paren(this=exp.Var(this=text))
