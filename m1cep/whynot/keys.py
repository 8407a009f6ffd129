"""The keys that are asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m1cep.errors import EngineError
from m1cep.model.joined import Joined
from m1cep.plan.join import JoinPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep.plan.ir import Col
    from m1cep.rule import Rule


class AskedKeys:
    """Which keys of a rule are asked about, and the keys of rows.

    Args:
        rule: the rule.
        key: values of key columns, as text or as they are.

    Raises:
        EngineError: the rule has no such key column.
    """

    def __init__(self, rule: Rule, key: Mapping[str, Any]) -> None:
        self._plan = rule.plan
        self._joined = isinstance(rule.source, Joined)
        self._columns: tuple[Col, ...] = rule.plan.key
        places = {c.name.lower(): i for i, c in enumerate(self._columns)}
        for name in key:
            if name.lower() not in places:
                there = ", ".join(c.name for c in self._columns) or "(none: all rows together)"
                raise EngineError(f"rule {rule.id!r} has no key column {name!r}: expected one of {there}")
        self._wanted = {places[name.lower()]: value for name, value in key.items()}

    def wants(self, key: tuple[Any, ...]) -> bool:
        """Whether a key is asked about."""
        return all(_same(key[i], value) for i, value in self._wanted.items())

    def key_of(self, row: Any) -> tuple[Any, ...]:
        """Values of the key's columns; of a row of a join's right side those by which it would pair."""
        columns: Sequence[Any] = self._columns
        if isinstance(self._plan, JoinPlan) and self._joined:
            columns = (self._plan.left if row.left is not None else self._plan.right).key
            row = row.left if row.left is not None else row.right
        return tuple(getattr(row, c.attr) for c in columns)

    def is_right(self, row: Any) -> bool:
        """Whether a row may be of a join's right side."""
        return isinstance(self._plan, JoinPlan) and (not self._joined or row.right is not None)

    def as_tuple(self, key: Any) -> tuple[Any, ...]:
        """A key as generated code makes it (see ``codegen.common.key_source``), as a tuple."""
        if not self._columns:
            return ()
        return (key,) if len(self._columns) == 1 else tuple(key)


def _same(found: Any, asked: Any) -> bool:
    """Whether a value of a key is the one asked for, perhaps as text: ``1.0`` and ``1`` are, ``NULL`` is None."""
    if found == asked:
        return True
    if not isinstance(asked, str) or isinstance(found, str):
        return False
    if found is None:
        return asked.upper() == "NULL"
    if isinstance(found, bool):
        return str(found).lower() == asked.lower()
    try:
        return bool(found == type(found)(asked))
    except (ValueError, ArithmeticError):
        return False
