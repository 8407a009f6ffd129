"""What a re-keyed topic holds, and how the risk agent reads it: lane by lane, each record once, nothing missed.

    partition of m1cep.orders-by-symbol.v1
        orders/0@17  orders/2@4  orders/0@21  marker(0: up to 30, time 12:05)  orders/2@9 ...

A record carries where it comes from in its last header. A *marker* follows the records of each batch, in every partition: it says
up to which offset of the source partition they have been sent, and the highest event time up to there. So a partition to which a
lane sends nothing still hears how far that lane is. Another follows when the source partition falls silent. A writer that begins
anew sends what it cannot know to have arrived once more; what lies below a lane's position has been here, and is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from m1cep import Stream
    from streams.transport import Record

ORIGIN = "m1cep-from"
MARKER = "m1cep-marker"


def origin_headers(topic: str, partition: int, offsets: Iterable[int]) -> list[tuple[str, bytes]]:
    """For forwarded records: where each comes from; to be its last header."""
    prefix = b"%b/%d/" % (topic.encode(), partition)
    return [(ORIGIN, b"%b%d" % (prefix, offset)) for offset in offsets]


@dataclass(frozen=True)
class Marker:
    """How far a source partition has been sent on.

    Attributes:
        topic_id: of the source, from the cluster: a topic made anew has another, and its offsets begin anew.
        position: all records before it have been sent.
        reached: highest event time among them, in the stream's unit; None when there was none.
        idle: there was nothing behind ``position`` for a while.
    """

    topic: str
    topic_id: str
    partition: int
    position: int
    reached: int | None
    idle: bool

    def to_json(self) -> bytes:
        """The value of the marker's record."""
        return orjson.dumps(self)


def marker_of(record: Record) -> Marker | None:
    """The marker that a record is, if it is one."""
    if not record.headers or record.headers[-1][0] != MARKER or record.value is None:
        return None
    return Marker(**orjson.loads(record.value))


class Step(NamedTuple):
    """Records of one lane, with their offsets in the source, and, after them, how far it is."""

    lane: int
    records: list[Record]
    offsets: list[int]
    reached: int | None


@dataclass
class LaneReader:
    """One partition of a re-keyed topic: what of it is new, by lane.

    Attributes:
        topic: the re-keyed topic.
        source: the stream that it carries.
        lanes: the streams of its lanes.
        midway: whether reading begins, without a snapshot, behind what was said before: of a lane that then says nothing it is
            taken that it had fallen silent.
        positions: of each lane, the next offset of the source; None before anything was heard of it.
        quiet: the lanes whose last word was that there is nothing more for now.
        repeated: records that had been here before.
    """

    topic: str
    source: Stream
    lanes: Sequence[Stream]
    midway: bool = False
    positions: list[int | None] = field(default_factory=list)
    quiet: set[int] = field(default_factory=set)
    repeated: int = 0
    _topic_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.positions = self.positions or [None] * len(self.lanes)
        self._topic_ids = self._topic_ids or [""] * len(self.lanes)

    def steps(self, records: Iterable[Record]) -> list[Step]:
        """What records mean, lane by lane, each in its order.

        Raises:
            ShellError: a record is not from the source.
        """
        by_lane: dict[int, list[Step]] = {}
        topic = self.source.topic.encode()
        for record in records:
            name, value = record.headers[-1] if record.headers else ("", b"")
            if name != ORIGIN:
                marker = marker_of(record)
                if marker is None:
                    raise self._stranger(record, "was not written by M1CEP")
                lane = self._lane(marker.topic.encode(), marker.partition, record)
                self._mark(marker, by_lane.setdefault(lane, []))
                continue
            source, number, digits = value.rsplit(b"/", 2)
            lane, offset = int(number), int(digits)
            if source != topic or lane >= len(self.lanes):
                self._lane(source, lane, record)
            position = self.positions[lane]
            if position is not None and offset < position:
                self.repeated += 1
                continue
            self.positions[lane] = offset + 1
            self.quiet.discard(lane)
            steps = by_lane.setdefault(lane, [])
            if not steps or steps[-1].reached is not None:
                steps.append(Step(lane, [], [], None))
            steps[-1].records.append(record)
            steps[-1].offsets.append(offset)
        return [step for lane in sorted(by_lane) for step in by_lane[lane]]

    def _mark(self, marker: Marker, steps: list[Step]) -> None:
        lane, known = marker.partition, self._topic_ids[marker.partition]
        position = self.positions[lane]
        if known and marker.topic_id != known:
            position = None  # the source was made anew
        self._topic_ids[lane] = marker.topic_id
        if position is not None and marker.position < position:
            return
        self.positions[lane] = marker.position
        (self.quiet.add if marker.idle else self.quiet.discard)(lane)
        if marker.reached is None:
            return
        if steps and steps[-1].reached is None:
            steps[-1] = steps[-1]._replace(reached=marker.reached)
        else:
            steps.append(Step(lane, [], [], marker.reached))

    def _lane(self, topic: bytes, partition: int, record: Record) -> int:
        if topic != self.source.topic.encode():
            raise self._stranger(record, f"comes from {topic.decode()}, expected {self.source.topic}")
        if partition >= len(self.lanes):
            raise self._stranger(record, f"comes from partition {partition}, expected less than {len(self.lanes)}")
        return partition

    def _stranger(self, record: Record, what: str) -> ShellError:
        return ShellError(
            f"the record at offset {record.offset} of {self.topic} {what}",
            "only the agent rekey may write there, for one declaration of the stream: delete the topic and start again",
        )

    def silent(self, lane: int, end: int | None) -> bool:
        """Whether a lane can be taken not to bring anything now.

        Args:
            lane: its number.
            end: the offset behind the last record of the source partition, asked for just now; None when nobody answered. The
                embedded broker says too little when that is in a batch of several, but never less than where it was before.
        """
        position = self.positions[lane]
        if end is None:
            return False
        return self.midway if position is None else lane in self.quiet and end <= position

    def state(self) -> Any:
        """For a snapshot."""
        return [self.positions, self._topic_ids, sorted(self.quiet)]

    def load(self, state: Any) -> None:
        """The reverse. Of another number of lanes, which then are other streams to the engine, nothing is taken over."""
        positions, topic_ids, quiet = state
        if len(positions) == len(self.lanes):
            self.positions, self._topic_ids, self.quiet = list(positions), list(topic_ids), set(quiet)
