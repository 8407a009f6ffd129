"""Which alerts people have closed, for an agent that is many: every worker reads the one partition of alerts' states by itself.

Nothing of it is saved: it is read from its beginning at each start. The topic is compacted, one record an alert.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from m1cep.alert_states import State, parse_state
from m1cep.errors import AlertStateError
from streams.codec import ALERT_STATES
from streams.security import for_aiokafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

_log = structlog.get_logger(__name__)

#: So many of the newest closings are known.
MOST_CLOSED = 200_000
_WAIT_MS = 200
_RETRY_S = 1.0


class Closings:
    """Alerts that are closed now."""

    def __init__(self) -> None:
        self._closed: dict[str, None] = {}  # in the order of closing

    def __contains__(self, alert_id: object) -> bool:
        return alert_id in self._closed

    def hear(self, key: bytes | None, value: bytes | None) -> str | None:
        """Take a record in; the id of the alert, None of a record that is none."""
        if value is None:  # a tombstone: open again
            name, closed = (key or b"").decode(errors="replace"), False
        else:
            try:
                said = parse_state(value)
            except AlertStateError as error:
                _log.warning("alert_state.refused", reason=str(error)[:300])
                return None
            name, closed = said.alert, said.state is State.CLOSED
        self._closed.pop(name, None)
        if closed:
            self._closed[name] = None
            if len(self._closed) > MOST_CLOSED:
                del self._closed[next(iter(self._closed))]
        return name

    async def follow(
        self, client: Mapping[str, Any], changed: Callable[[Iterable[str]], None], caught_up: Callable[[], None]
    ) -> None:
        """Read the topic, for ever.

        Args:
            client: settings of the Kafka client.
            changed: told of alerts of which something was said.
            caught_up: told once, when all that was there at the start was read.

        Raises:
            KafkaError: it may not be read.
        """
        consumer = AIOKafkaConsumer(
            **for_aiokafka(client),
            client_id="m1cep-closings",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_WAIT_MS,
        )
        await consumer.start()
        try:
            part = TopicPartition(ALERT_STATES, 0)
            consumer.assign([part])
            await consumer.seek_to_beginning(part)
            end = (await consumer.end_offsets([part]))[part]
            behind = True
            while True:
                try:
                    records = (await consumer.getmany(part, timeout_ms=_WAIT_MS)).get(part, [])
                    behind = behind and await consumer.position(part) < end
                except TopicAuthorizationFailedError:
                    raise
                except KafkaError as error:  # the worker itself watches the broker
                    _log.warning("alert_states.not_read", reason=repr(error))
                    await asyncio.sleep(_RETRY_S)
                    continue
                changed({name for one in records if (name := self.hear(one.key, one.value)) is not None})
                if not behind:
                    caught_up()
        finally:
            await consumer.stop()
