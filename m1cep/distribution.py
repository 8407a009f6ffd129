"""Which rows a rule must see in one place, and whether the keys of its streams bring them there.

Streams are spread over partitions by their key. A rule with PARTITION BY symbol over orders that are spread by account would see
some of a symbol's orders here and some there. What belongs together is decided column by column:

    PARTITION BY account, symbol    orders by account           fine: equal (account, symbol) have equal accounts
    PARTITION BY symbol             orders by account           orders by symbol
    no PARTITION BY                 orders by account           all orders in one place
    PARTITION BY symbol             orders, market by symbol    both by symbol: of two streams neither may stay as it is alone,
                                                                for who writes it may spread symbols over partitions another way
    ON b.symbol = m.ticker          bids b by account           bids by symbol, market by ticker
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from m1cep.model.joined import Joined
from m1cep.plan.constants import constants
from m1cep.plan.join import JoinPlan
from m1cep.plan.plans import FilterPlan, WindowPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.model.stream import Branch, Stream
    from m1cep.plan.ir import Col, Expr
    from m1cep.rule import Rule


@dataclass(frozen=True)
class Distribution:
    """How the streams of a rule must be spread.

    Attributes:
        key: columns of the rule's key, as the rule names them.
        columns: of each base stream whose rows matter, the columns by which it must be spread, in the order of the others'; None
            stands for NULL, where a view has no column of the stream. No columns: all rows in one place. Equal values must come
            to the same place from every stream.
        unusable: columns of the key by which it cannot be spread: a view has a constant there, or one stream appears twice,
            with different columns.
    """

    key: tuple[str, ...]
    columns: dict[str, tuple[str | None, ...]]
    unusable: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Member:
    """A base stream in the place where a rule reads it.

    Attributes:
        columns: of it, for each part of the rule's key; None where a view has a constant.
        null: for each part, whether that constant is NULL.
    """

    stream: Stream
    columns: tuple[str | None, ...]
    null: tuple[bool, ...] = ()


def distribution(rule: Rule) -> Distribution | None:
    """How the streams of a rule must be spread; None when their own keys do."""
    plan = rule.plan
    if isinstance(plan, FilterPlan) and rule.matter.suppress_us is None:
        return None  # each row by itself
    base = {stream.name: stream for stream in rule.inputs}
    key = plan.key
    if isinstance(plan, JoinPlan):
        joined = rule.source
        left, right = (joined.left, joined.right) if isinstance(joined, Joined) else (joined, joined)
        members = _members(left, key, plan.left.where, base) + _members(right, plan.right.key, plan.right.where, base)
    else:
        if isinstance(plan, WindowPlan) and plan.shape.kind == "SESSION":
            key = plan.shape.session_key  # a part of GROUP BY; all rows of a session must meet
        members = _members(rule.source, key, plan.where, base)
    if not members or _as_keyed(members):
        return None
    return _spread(tuple(k.name for k in key), members)


def _members(source: Stream, key: Sequence[Col], where: Expr, base: dict[str, Stream]) -> list[_Member]:
    names = [source.by_name[k.name.lower()].name for k in key]
    if not source.is_view:
        return [_Member(source, tuple(names))]
    wanted = constants(where)
    index = {c.name: i for i, c in enumerate(source.columns)}
    found = []
    for branch in source.branches:
        if not _left_out(source, branch, wanted):
            places = [index[n] for n in names]
            columns = tuple(branch.columns[i] for i in places)
            null = tuple(branch.columns[i] is None and branch.constants[i] is None for i in places)
            found.append(_Member(base[branch.stream], columns, null))
    return found


def _left_out(view: Stream, branch: Branch, wanted: dict[str, tuple[object, ...]]) -> bool:
    """Whether WHERE lets no row of a branch through, for a constant that it has."""
    for column, from_column, constant in zip(view.columns, branch.columns, branch.constants, strict=True):
        if from_column is None and column.attr in wanted and constant not in wanted[column.attr]:
            return True
    return False


def _as_keyed(members: Sequence[_Member]) -> bool:
    """Whether rows with equal keys of the rule have equal keys of their streams, part by part."""
    first = members[0]
    if not first.stream.key:
        return False
    kinds = {_kinds(m.stream, m.stream.key) for m in members}
    if len(kinds) > 1:
        return False  # 5 and 5.0 are equal in SQL and not in Kafka
    places = [[i for i, c in enumerate(first.columns) if c == k] for k in first.stream.key]
    return any(all(tuple(m.columns[i] for i in chosen) == m.stream.key for m in members) for chosen in product(*places))


def _kinds(stream: Stream, columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(stream.by_name[c.lower()].type.kind for c in columns)


def _spread(key: tuple[str, ...], members: Sequence[_Member]) -> Distribution:
    """By all parts of the key that are one column, or NULL, of each stream."""
    streams = {m.stream.name for m in members}
    usable = []
    for part in range(len(key)):
        found = {(m.stream.name, m.columns[part]) for m in members}
        constant = any(m.columns[part] is None and not m.null[part] for m in members)
        if len(found) == len(streams) and not constant:
            usable.append(part)
    first = members[0]
    order = {c.name: i for i, c in enumerate(first.stream.columns)}
    # Rules whose keys differ in their order alone can share what is spread.
    by = sorted(usable, key=lambda part: order.get(first.columns[part] or "", len(order)))
    columns = {m.stream.name: tuple(m.columns[part] for part in by) for m in members}
    return Distribution(key, columns, tuple(name for part, name in enumerate(key) if part not in usable))
