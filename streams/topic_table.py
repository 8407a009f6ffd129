"""Which Kafka topics there are, with what keys and settings: those of the contract, and those of further streams and signers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams import codec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.model.stream import Stream
    from streams.rekey import Rekeyed

_DAY_MS = 86_400_000


def _kept(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * _DAY_MS)}


#: Read at once by the worker that has them written; a worker that is away for longer than a day has lost its place anyway.
#: Records get a header and another key, and may have been as large as the source takes.
_REKEYED = _kept(1) | {"max.message.bytes": str(16 * 1024 * 1024)}
_FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1"}
_COMPACTED = {"cleanup.policy": "compact"}
#: The newest of each key, and of keys that nobody writes any more nothing after a day.
_STATUS = _kept(1) | {"cleanup.policy": "compact,delete"}


@dataclass(frozen=True)
class Topic:
    """A topic as it should be.

    Attributes:
        key: what the Kafka key holds, in words; empty when records have none.
        config: topic settings, as in Kafka's documentation. The embedded broker takes and ignores them.
        is_input: read by the engine: has as many partitions as every other input.
        partitions: fixed number, or None for the number that the user chooses.
    """

    name: str
    key: str = ""
    config: Mapping[str, str] = field(default_factory=lambda: _kept(30))
    is_input: bool = False
    partitions: int | None = None


BUILT_IN = (
    Topic("m1cep.orders.v1", "account", _kept(7), is_input=True),
    Topic("m1cep.fills.v1", "account", _kept(7), is_input=True),
    Topic("m1cep.accounts.v1", "account", _kept(7), is_input=True),
    Topic("m1cep.market.v1", "symbol", _kept(7), is_input=True),
    Topic(codec.ALERTS, "the rule's partition key"),
    Topic(codec.SHADOW, "the rule's partition key", _kept(7)),
    Topic(codec.ALERT_STATES, "alert id", _COMPACTED, partitions=1),
    Topic("m1cep.actions.v1", "account", is_input=True),
    Topic(codec.LATE),
    Topic(codec.DEAD_LETTERS),
    Topic("m1cep.rules.v1", "rule id", _COMPACTED, partitions=1),  # one partition: versions of all rules in one order
    Topic(codec.STATUS, "worker", _STATUS, partitions=1),  # one partition: a reader has all workers at once
    Topic("m1cep.order-commands.v1", "grid", is_input=True),  # every one in the partition of its symbol
    Topic("m1cep.grid-log.v1", "grid", is_input=True),
    Topic("m1cep.paper-log.v1", "", _kept(1), is_input=True),
    Topic("m1cep.grids.v1", "grid", _COMPACTED),
    # What auditors ask for years later. One partition: each is read whole by everybody, and every partition costs every fetch.
    Topic("m1cep.custody.requests.v1", "vault", _FOREVER, partitions=1),
    Topic("m1cep.custody.rounds.v1", "request", _FOREVER, partitions=1),
    Topic("m1cep.custody.releases.v1", "vault", _FOREVER, partitions=1),
    Topic("m1cep.custody.audit.v1", "log", _FOREVER, partitions=1),
    Topic("m1cep.custody.standing.v1", "thing", _COMPACTED, partitions=1),
)


def topics_of(streams: Iterable[Stream]) -> list[Topic]:
    """The built-in topics, and the input topics of further streams."""
    found = {topic.name: topic for topic in BUILT_IN}
    for stream in streams:
        if not stream.is_view:
            found.setdefault(stream.topic, Topic(stream.topic, ", ".join(stream.key), _kept(7), is_input=True))
    return list(found.values())


def topics_by_other_keys(rekeyed: Iterable[Rekeyed]) -> list[Topic]:
    """The topics of streams by other columns than their key."""
    return [
        Topic(one.topic, ", ".join(column or "NULL" for column in one.columns), _REKEYED, is_input=True)
        for one in rekeyed
    ]


def topics_of_signers(numbers: Iterable[int]) -> list[Topic]:
    """What is for one signer of custody alone: what is dealt to it in ceremonies."""
    return [Topic(f"m1cep.custody.signer-{number}.v1", "vault", _FOREVER, partitions=1) for number in numbers]
