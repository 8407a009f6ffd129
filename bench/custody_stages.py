"""Where the time of an approval goes: its stages by the times of the records, and the floor that they are held against.

The floor is the same number of hops through the same broker in the same run, by a process that does nothing but answer: what is
above it is custody's own, whatever else the machine is doing.

    python bench/custody_stages.py BROKER    # that process
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as Partition

from streams.custody.mail import RELEASES, REQUESTS, ROUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WAIT_MS = 20  # of a fetch, as custody's agents and commands have it on this machine
PING, PONG = "bench.ping", "bench.pong"
#: From a record to the next one that could not be before it; each is one hop and what its reader does before it writes.
STAGES = (
    "asked -> proposed",
    "proposed -> enough votes",
    "enough votes -> shares asked for",
    "asked for -> last share",
    "last share -> signed",
    "signed -> heard by who asked",
)


class Letters:
    """Times of all records about requests, in ms, by request and kind, in order."""

    def __init__(self, records: Mapping[str, Iterable[Any]]) -> None:
        self._times: dict[str, dict[str, list[int]]] = {}
        for topic in (REQUESTS, ROUNDS, RELEASES):
            for record in records[topic]:
                letter = json.loads(record.value)
                if letter["about"] == "request":
                    self._note(json.loads(letter["body"]), record.timestamp)

    def _note(self, said: dict[str, Any], time_ms: int) -> None:
        name = said.get("request_id") or said.get("request", {}).get("id")
        kind = f"{said['type']} {said['state']}" if said["type"] == "Status" else said["type"]
        self._times.setdefault(name, {}).setdefault(kind, []).append(time_ms)

    def stages(self, request_id: str, threshold: int, heard_ms: float) -> list[float] | None:
        """How long each of ``STAGES`` took, in ms; None: it took a second attempt, or a round of commitments."""
        times = {kind: sorted(found) for kind, found in self._times[request_id].items()}
        if "Commitment" in times or len(times["AskShare"]) > 1:
            return None
        at = [times["Submit"][0], times["Propose"][0], times["Vote"][threshold - 1], times["AskShare"][0]]
        at += [times["Share"][threshold - 1], times["Status signed"][0], heard_ms]
        return [after - before for before, after in pairwise(at)]


class Floor:
    """Round trips to a process that only answers; two hops each.

    Args:
        broker: with the topics ``PING`` and ``PONG`` of one partition.
    """

    def __init__(self, broker: str) -> None:
        self._process = subprocess.Popen([sys.executable, __file__, broker], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._producer = KafkaProducer(bootstrap_servers=broker, acks="all", enable_idempotence=False)
        self._reader = KafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, fetch_max_wait_ms=WAIT_MS)
        self._reader.assign([Partition(PONG, 0)])
        self._reader.seek_to_beginning()

    def __enter__(self) -> Self:
        self.hops_ms(2)  # connections, metadata
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._producer.close(timeout=1)
        self._reader.close()

    def hops_ms(self, count: int) -> float:
        """How long so many hops take, in ms."""
        began_s = time.monotonic()
        for _ in range(count // 2):
            self._producer.send(PING, b"x").get(10)
            while not self._reader.poll(timeout_ms=50):
                pass
        return (time.monotonic() - began_s) * 1_000


async def _answer(broker: str) -> None:
    """Read, write, and nothing else."""
    reader = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, fetch_max_wait_ms=WAIT_MS)
    writer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", enable_idempotence=False, linger_ms=0)
    await reader.start()
    await writer.start()
    reader.assign([TopicPartition(PING, 0)])
    await reader.seek_to_beginning()
    print("ready", flush=True)
    while True:
        for records in (await reader.getmany(timeout_ms=50)).values():
            for record in records:
                await writer.send_and_wait(PONG, record.value)


if __name__ == "__main__":
    asyncio.run(_answer(sys.argv[1]))
