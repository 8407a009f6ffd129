"""Nodes of syntax trees: those that sqlglot has no class for; a node as text, and where it stands."""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp

_SHOWN = 60  # characters of SQL in a message


class RowMatch(exp.Expression):
    """MATCH_RECOGNIZE (...), every clause as an argument; ``pattern`` is a Var whose meta has ``start``."""

    arg_types: ClassVar[dict[str, bool]] = {
        "partition_by": False,
        "order": False,
        "measures": False,
        "rows": False,
        "after": False,
        "after_variable": False,
        "pattern": True,
        "within": False,
        "subsets": False,
        "define": False,
        "alias": False,
    }


class Semantics(exp.Expression):
    """RUNNING or FINAL (``mode``) before a navigation or an aggregate (``this``)."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "mode": True}


class WindowTable(exp.Expression, exp.Func):
    """TABLE(TUMBLE(TABLE data PARTITION BY ..., DESCRIPTOR(column), ...)): ``this`` is the function's name.

    ``arguments`` are those after the descriptor, as Kwarg where they were named.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "data": True,
        "partition_by": False,
        "descriptor": True,
        "arguments": False,
        "alias": False,
    }


def written(node: exp.Expr | None) -> str:
    """A node as SQL, cut to what fits a message; sqlglot cannot write everything that it reads."""
    if node is None:
        return "nothing"
    try:
        text = node.sql(dialect="trino")
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError, IndexError):
        return type(node).__name__.upper()
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def position(node: exp.Expr | None) -> int:
    """The offset of a node's first character, or 0."""
    if node is None:
        return 0
    starts = [n.meta["start"] for n in node.walk() if "start" in n.meta]
    return min(starts, default=0)
