"""Streams whose key is not a rule's: which internal topics carry them by the columns that the rule needs.

    orders, by account                 m1cep.orders-by-symbol.v1
      partition 0 ─┐                     partition 0      every order of BTC-USD
      partition 1 ─┼─▶ agent rekey ─▶    partition 1      every order of ETH-USD
      partition 2 ─┘                     partition 2

Within a partition of such a topic the records of one source partition (a *lane*) are in order; between lanes there is no order,
so the engine reads each lane as a stream of its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from m1cep.distribution import distribution
from m1cep.model.lanes import lane
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from m1cep import Rule, Stream
    from m1cep.distribution import Distribution

_MAX_NAME = 200  # Kafka takes 249 characters


@dataclass(frozen=True)
class Rekeyed:
    """A base stream by other columns than its key.

    Attributes:
        columns: None stands for NULL. When there are no columns, or NULLs alone, all of it is in one partition.
    """

    stream: Stream
    columns: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if not any(self.columns):
            object.__setattr__(self, "columns", ())  # NULLs are where rows without a key are

    @property
    def label(self) -> str:
        """Such as ``orders by symbol``."""
        by = ", ".join(column or "NULL" for column in self.columns)
        return f"{self.stream.name} by {by}" if by else f"all of {self.stream.name}"

    @property
    def topic(self) -> str:
        """Such as ``m1cep.orders-by-symbol.v1``."""
        by = "-".join(column or "" for column in self.columns)
        middle = f"{self.stream.name}-by-{by}" if by else f"{self.stream.name}-all"
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else f"_{ord(c):x}_" for c in middle)
        if len(plain) > _MAX_NAME:
            plain = f"{plain[:_MAX_NAME]}-{hashlib.sha256(middle.encode()).hexdigest()[:12]}"
        return f"m1cep.{plain}.v1"

    def lanes(self, count: int) -> tuple[Stream, ...]:
        """The streams that the engine reads: one for each of the ``count`` partitions of the source."""
        return tuple(lane(self.stream, f"{self.label}/{n}") for n in range(count))


def rekeyed(rule: Rule) -> tuple[Rekeyed, ...]:
    """What a rule must read in place of its streams; nothing when these are keyed as it needs them."""
    found = distribution(rule)
    return () if found is None else _of(rule, found)


def all_rekeyed(rules: Iterable[Rule]) -> list[Rekeyed]:
    """What rules read in place of their streams, each once, by topic.

    Raises:
        ShellError: names with signs that a topic's name cannot have come to the same.
    """
    by_topic: dict[str, Rekeyed] = {}
    for rule in rules:
        for one in rekeyed(rule):
            if by_topic.setdefault(one.topic, one) != one:
                raise ShellError(
                    f"{one.label} and {by_topic[one.topic].label} would have the same topic {one.topic}",
                    "name the columns otherwise",
                )
    return [by_topic[topic] for topic in sorted(by_topic)]


def read_directly(rules: Iterable[Rule]) -> frozenset[str]:
    """Names of the base streams that some rule reads as they are."""
    return frozenset(name for rule in rules if not rekeyed(rule) for name in rule.streams)


def over_lanes(rule: Rule, partitions: int) -> Rule:
    """The rule as it reads re-keyed topics: of ``partitions`` lanes each. A rule that needs none stays as it is."""
    found = rekeyed(rule)
    if not found:
        return rule
    lanes = {one.stream.name: one.lanes(partitions) for one in found}
    return rule.over_lanes(lanes, f"({'; '.join(one.label for one in found)})")


def why(rule: Rule) -> str:
    """One sentence for who wrote the rule; empty when it reads its streams as they are."""
    found = distribution(rule)
    if found is None:
        return ""
    streams = _of(rule, found)
    key = f"its key is {', '.join(found.key)}" if found.key else "it has no PARTITION BY"
    keys = ", ".join(f"that of {s.stream.name} is {', '.join(s.stream.key) or 'none'}" for s in streams)
    text = f"reads {', '.join(s.topic for s in streams)}, which the worker writes: {key}, {keys}"
    if not any(s.columns for s in streams):
        text += "; all its events go through one partition"
        if found.unusable:
            text += f", because {', '.join(found.unusable)} is not one column of every stream that it reads"
    return text


def _of(rule: Rule, found: Distribution) -> tuple[Rekeyed, ...]:
    return tuple(Rekeyed(s, found.columns[s.name]) for s in rule.inputs if s.name in found.columns)


def key_bytes(values: Sequence[Any]) -> bytes | None:
    """The record key of column values: the text of one, a JSON array of several; None when all are NULL, or there are none.

    Values that are equal in SQL give equal bytes, whatever their types: 5, 5.0 and 5.00.
    """
    if all(value is None for value in values):
        return None
    if len(values) > 1:
        return orjson.dumps([_plain(value) for value in values])
    value = _plain(values[0])
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _plain(value: Any) -> Any:
    """A value whose JSON is equal for equal values."""
    if isinstance(value, float):
        return _whole(int(value)) if value.is_integer() else value
    if isinstance(value, Decimal):
        return _whole(int(value)) if value == value.to_integral_value() else format(value.normalize(), "f")
    return value


def _whole(value: int) -> int | str:
    return value if -(2**63) <= value < 2**63 else str(value)  # JSON's writer knows 64 bits
