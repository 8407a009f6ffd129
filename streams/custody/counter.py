"""Where people come with what they want: sends their letters, and waits for what the coordinator says to them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kafka import KafkaProducer, TopicPartition

from m1cep.custody.policy import Approval
from m1cep.custody.requests import encode
from m1cep.custody.requests.messages import Approved, Cancel, Submit
from streams.custody import asks
from streams.custody.mail import LOG, RELEASES, REQUESTS, ROUNDS, STANDING
from streams.custody.view import View
from streams.errors import ServerError
from streams.topics import broker_errors, consumer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kafka import KafkaConsumer

    from m1cep.custody.request import Request
    from streams import codec
    from streams.config import Settings
    from streams.custody.mail import Pen
    from streams.custody.roster import Roster

_ACK_S = 10.0
ANSWER_S = 20.0
_FETCH_WAIT_MS = 20  # the embedded broker lets a reader wait so long, whatever has come meanwhile


class Counter:
    """One person's visit.

        with open_counter(settings, roster) as counter:
            counter.ask(pen, request)
            counter.wait(lambda view: request.id in view.requests)

    What stands is read first (``streams.custody.board``): the requests that the coordinator has not forgotten, and the vaults.
    """

    def __init__(self, reader: KafkaConsumer, producer: KafkaProducer, roster: Roster) -> None:
        self._reader, self._producer = reader, producer
        self.view = View(roster)

    def listen(self, timeout_ms: int = 200) -> bool:
        """Take in what has come; whether something has."""
        found = self._reader.poll(timeout_ms=timeout_ms)
        records = sorted((r for rs in found.values() for r in rs), key=lambda r: (r.timestamp, r.offset))
        for record in records:
            self.view.take(record.value)
        return bool(records)

    def wait(self, holds: Callable[[View], bool], timeout_s: float = ANSWER_S) -> bool:
        """Listen until something holds; whether it does."""
        deadline_s = time.monotonic() + timeout_s
        while not holds(self.view):
            if time.monotonic() >= deadline_s:
                return False
            self.listen(50)
        return True

    def ask(self, pen: Pen, request: Request) -> None:
        """Ask for a release."""
        self.send(pen.write(REQUESTS, request.vault, "request", encode(Submit(request)).decode()))

    def say(self, pen: Pen, request: Request, *, approve: bool) -> None:
        """A person's word on exactly this request."""
        word = Approval(request.id, request.digest(), pen.sender, approve)
        signed = Approval(request.id, request.digest(), pen.sender, approve, pen.sign(word.message()).hex())
        self.send(pen.write(REQUESTS, request.vault, "request", encode(Approved(signed)).decode()))

    def cancel(self, pen: Pen, request: Request) -> None:
        """Whoever asked does not want it any more."""
        body = encode(Cancel(request.id, pen.sender)).decode()
        self.send(pen.write(REQUESTS, request.vault, "request", body))

    def ask_desk(self, pen: Pen, ask: asks.Ask) -> None:
        """A ceremony, or money from a local faucet."""
        self.send(pen.write(REQUESTS, ask.vault, "desk", asks.encode(ask)))

    def send(self, message: codec.Message) -> None:
        """Write a letter; it is there when this returns."""
        self._producer.send(message.topic, message.value, key=message.key, headers=message.headers).get(timeout=_ACK_S)


@contextmanager
def open_counter(settings: Settings, roster: Roster, *, history: bool = False) -> Iterator[Counter]:
    """Read what stands, then be ready to ask.

    Args:
        settings: with the broker's address.
        roster: who is who.
        history: read all that was ever said too, and the audit log: it takes the longer the more there is.

    Raises:
        ServerError: no broker answers, or it lacks the topics.
    """
    with consumer(settings, fetch_max_wait_ms=_FETCH_WAIT_MS) as reader:
        talk, stands = _partitions(reader, (ROUNDS, RELEASES)), _partitions(reader, (STANDING,))
        if {tp.topic for tp in (*talk, *stands)} != {ROUNDS, RELEASES, STANDING} or not _partitions(
            reader, (REQUESTS,)
        ):
            raise ServerError(
                f"the broker at {settings.broker} lacks topics of custody", "make them: m1cep topics create"
            )
        talk += _partitions(reader, (LOG,)) if history else []
        ends = reader.end_offsets([*talk, *stands])
        reader.assign([*talk, *stands])
        reader.seek_to_beginning(*stands, *(talk if history else ()))
        for tp in () if history else talk:
            reader.seek(tp, ends[tp])
        with broker_errors(settings):
            producer = KafkaProducer(**settings.client_settings(), acks="all", enable_idempotence=False)
            try:
                counter = Counter(reader, producer, roster)
                # The embedded broker names an end before the last batch: what is behind it comes with the same answers.
                while counter.listen() or any(reader.position(tp) < ends[tp] for tp in ends):
                    pass
                yield counter
            finally:
                producer.close()


def _partitions(reader: KafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    return [TopicPartition(t, p) for t in topics for p in sorted(reader.partitions_for_topic(t) or ())]
