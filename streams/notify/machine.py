"""Alerts and their states into the queues of the targets: the part that must survive a crash.

``Solo`` saves it together with the positions in the topics: an alert is either still to be read, or in the queues. What was
delivered and not saved yet is delivered again after a crash, under the same id.
"""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import orjson
import structlog

from m1cep.alert_states import State, parse_state
from m1cep.errors import AlertStateError, EngineError
from m1cep.model.time import parse_rfc3339
from m1cep.pretrade.known import Known
from streams import codec
from streams.codec import Message  # noqa: TC001 - msgspec reads the annotations
from streams.notify.bodies import essence
from streams.notify.letters import SOURCE, undelivered
from streams.notify.queue import ALERT, RESOLVED, Dead, Delivery, Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streams.agents.stats import AgentStats
    from streams.notify.targets import Target
    from streams.transport import Record

_log = structlog.get_logger(__name__)

REMEMBERED = 10_000  # ids of alerts, to know repetitions on the topic
MOST_FIRING = 5_000  # of each Alertmanager: alerts that it was told of and that may be closed


class _State(msgspec.Struct):
    version: Literal[1]
    queues: dict[str, list[Delivery]]
    firing: dict[str, dict[str, bytes]]
    seen: list[list[str]]
    said: list[Message]


class NotifyMachine:
    """All targets.

    Args:
        targets: by name.
        stats: counters.
        clock_ms: epoch.
        random: for jitter.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        stats: AgentStats,
        clock_ms: Callable[[], int],
        random: Random | None = None,
    ) -> None:
        self.targets, self._clock_ms = targets, clock_ms
        chance = random or Random()  # noqa: S311 - jitter
        self.queues = {
            name: Queue(one.queue, math.ceil(one.give_up_after_s * 1_000), chance) for name, one in targets.items()
        }
        self._stats = stats
        self._firing: dict[str, dict[str, bytes]] = {
            name: {} for name, one in targets.items() if one.kind == "alertmanager"
        }
        self._seen = Known(REMEMBERED)
        self._said: list[Message] = []
        self._changed = False

    # -- Machine

    def take(self, topic: str, partition: int, record: Record) -> Sequence[Message]:
        """Hear a record."""
        if topic == codec.ALERT_STATES:
            self._hear_state(record)
        else:
            self._hear_alert(partition, record)
        return self._speak()

    def tick(self, now_ms: int) -> Sequence[Message]:
        """Give up what is too old."""
        for name, queue in self.queues.items():
            self.bury(name, queue.lapse(now_ms))
        return self._speak()

    def snapshot(self) -> bytes:
        """All that waits, and what may have to be resolved."""
        queues = {name: list(queue.pending.values()) for name, queue in self.queues.items()}
        return msgspec.msgpack.encode(_State(1, queues, self._firing, self._seen.state(), list(self._said)))

    def load(self, state: bytes) -> Sequence[Message]:
        """Take it over; what waits for a target that the file does not have any more is given up.

        Raises:
            EngineError: it is another one's.
        """
        try:
            kept = msgspec.msgpack.decode(state, type=_State)
        except msgspec.MsgspecError as error:
            raise EngineError(f"expected the state of the agent notify: {error}") from None
        self._seen.load(kept.seen)
        self._said += kept.said
        for name, known in kept.firing.items():
            if name in self._firing:
                self._firing[name] = known
        for name, deliveries in kept.queues.items():
            for one in deliveries:
                if name in self.queues:
                    self.bury(name, self.queues[name].add(one))
                else:
                    self.bury(name, [Dead(one, "it is not among the targets any more")])
        return self._speak()

    # -- for the couriers

    def bury(self, target: str, dead: Sequence[Dead]) -> None:
        """Write dead letters with the next tick."""
        for one in dead:
            self._said.append(undelivered(target, one))
            self._stats.dead_letters += 1
            self._stats.deliveries[target, "given_up"] += 1
            _log.warning("notify.given_up", target=target, alert=one.delivery.alert, reason=one.reason)

    def touched(self) -> None:
        """A queue has changed since the last record."""
        self._changed = True

    def changed(self) -> bool:
        """Whether there is something to save that no record has brought; asked once for each change."""
        found, self._changed = self._changed, False
        return found

    @property
    def waiting(self) -> int:
        """Deliveries of all targets."""
        return sum(len(queue.pending) for queue in self.queues.values())

    # -- inside

    def _hear_alert(self, partition: int, record: Record) -> None:
        value = record.value
        try:
            alert: Any = orjson.loads(value or b"")
            name = alert["id"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            name = None
        if not isinstance(name, str) or not name:
            source = codec.Source(codec.ALERTS, partition, record.offset, record.timestamp, record.key, value)
            self._said.append(codec.dead_letter(source, "expected an alert: a JSON object with an id", SOURCE))
            self._stats.dead_letters += 1
            return
        if not self._seen.add(name):
            self._stats.duplicates[codec.ALERTS] += 1
            return
        time_ms = _event_time_ms(record)
        for target in self.targets.values():
            if target.wants(alert):
                one = Delivery(name, ALERT, value or b"", time_ms, partition, record.offset, self._clock_ms())
                self._add(target.name, one)
                if target.name in self._firing:
                    self._fires(self._firing[target.name], name, essence(alert))

    def _hear_state(self, record: Record) -> None:
        try:
            said = parse_state(record.value)
        except AlertStateError as error:
            if record.value is not None:
                _log.warning("notify.refused", offset=record.offset, reason=str(error)[:300])
            return
        what = RESOLVED if said.state is State.CLOSED else ALERT
        if said.state is State.ACKNOWLEDGED:
            return
        for name, known in self._firing.items():
            if (value := known.get(said.alert)) is None:
                continue
            if what == RESOLVED:
                self.queues[name].withdraw((said.alert, ALERT))
            self._add(name, Delivery(said.alert, what, value, said.time_ms, -1, -1, self._clock_ms()))

    def _add(self, target: str, one: Delivery) -> None:
        self.bury(target, self.queues[target].add(one))

    @staticmethod
    def _fires(known: dict[str, bytes], name: str, value: bytes) -> None:
        known[name] = value
        while len(known) > MOST_FIRING:
            del known[next(iter(known))]

    def _speak(self) -> Sequence[Message]:
        said, self._said = self._said, []
        return said


def _event_time_ms(record: Record) -> int:
    """Of the alert, from its header; the record's where there is none."""
    for name, value in record.headers or ():
        if name == "ce_time":
            try:
                return parse_rfc3339(value.decode(), "ms")
            except (ValueError, UnicodeDecodeError):
                break
    return record.timestamp or 0
