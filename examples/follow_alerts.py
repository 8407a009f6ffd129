"""Act on alerts, each once, with aiokafka.

    pip install aiokafka
    python follow_alerts.py 127.0.0.1:9092

Kafka delivers at least once: after a crash, M1CEP's or yours, an alert may come again. It then bears the same ce_id, so
whoever remembers the ids that were dealt with acts once. Here they are in memory; where acting twice would hurt, keep them
where the effect is kept, in one transaction with it.
"""

import asyncio
import json
import sys
from collections import OrderedDict

from aiokafka import AIOKafkaConsumer

TOPIC = "m1cep.alerts.v1"
REMEMBERED = 100_000  # ids; repetitions come soon after the first


class Seen:
    """The newest ids."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, identity: str) -> bool:
        """Whether the id comes for the first time."""
        if identity in self._ids:
            return False
        self._ids[identity] = None
        if len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)
        return True


async def follow(broker: str) -> None:
    """For ever: print each alert, then say that it was dealt with."""
    seen = Seen()
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=broker,
        group_id="example-alerts",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async for record in consumer:
            headers = {name: value.decode() for name, value in record.headers}
            if headers.get("ce_type") == "m1cep.alert.v1" and seen.is_new(headers["ce_id"]):
                alert = json.loads(record.value)
                print(alert["severity"], alert["rule"], json.dumps(alert["key"]), alert["id"], flush=True)
            await consumer.commit()  # after the work: before it, a crash would lose the alert
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1]))
