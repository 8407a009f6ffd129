"""What a grid remembers. Plain values, so that a snapshot is this and nothing else."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Any

import msgspec

# msgspec reads the annotations when it restores, so these are needed while it runs.
from m1cep.grid.machine.books import Books  # noqa: TC001
from m1cep.grid.machine.spec import GridSpec  # noqa: TC001
from m1cep.grid.orders import Fill, Side  # noqa: TC001


class Mode(StrEnum):
    """Where a grid stands."""

    IDLE = "idle"  # not started
    WAITING = "waiting"  # for the trigger price
    CANCELLING = "cancelling"  # until every order of the generation has ended and all its fills are here
    PLACING = "placing"  # until every order of the generation was answered
    LIVE = "live"
    CLOSING = "closing"  # until what it holds is sold, after a stop-loss or take-profit
    PAUSED = "paused"
    HALTED = "halted"  # by an alert
    STOPPED = "stopped"  # for good


class Then(IntEnum):
    """What comes after the barrier. Of two wishes the larger counts, in whichever order they came."""

    BUILD = 0
    PAUSE = 1
    HALT = 2
    CLOSE = 3
    STOP = 4


class Phase(StrEnum):
    """What the grid knows of an order."""

    PLANNED = "planned"  # not yet told to the venue
    SENT = "sent"  # told, and no answer
    OPEN = "open"
    DONE = "done"  # ended at the venue; settled when its fills are here too


class Awaits(StrEnum):
    """The answer that an order waits for."""

    NOTHING = ""
    PLACE = "place"
    CANCEL = "cancel"
    ANSWER = "answer"  # to a question


class Order(msgspec.Struct, omit_defaults=True):
    """One order of the grid.

    Attributes:
        filled: lots by the fills that are here.
        told: lots that the venue says are filled; when it has ended, all there will ever be.
        reason: why it ended.
        trades: those booked, by id: ticks, lots, fee as text.
        since_ms: when what it awaits was asked.
        final_question: the first that was asked when the order could not be on its way any more; 0: none yet.
        doubt: what is known of it may be wrong: ask.
        resend: the venue did not know it, say it again with the same id.
        expires_ms: of the last time it was sent; 0: never sent.
        fills_ms: when its fills were last asked for; None: never.
    """

    id: str
    side: Side
    level: int
    ticks: int
    lots: int
    generation: int
    phase: Phase = Phase.PLANNED
    filled: int = 0
    told: int = 0
    reason: str = ""
    trades: dict[str, tuple[int, int, str]] = {}
    awaits: Awaits = Awaits.NOTHING
    since_ms: int = 0
    final_question: int = 0
    doubt: bool = False
    resend: bool = False
    expires_ms: int = 0
    fills_ms: int | None = None

    @property
    def settled(self) -> bool:
        """Nothing of it can come any more."""
        return self.phase is Phase.DONE and self.filled == self.told

    @property
    def alive(self) -> bool:
        """It may be at the venue."""
        return self.phase is Phase.OPEN or self.phase is Phase.SENT


class Slot(msgspec.Struct, omit_defaults=True):
    """One level of the present generation; its orders come one after the other.

    Attributes:
        lots: to trade in all, of which
        base: are the level's own; the rest is carried from partial fills before.
        filled: of all its orders.
        order_id: the newest order.
        attempt: its number, from 0.
        retry_ms: when the next is due; None: not.
        given_up: why there will be none, or empty.
    """

    side: Side
    level: int
    ticks: int
    lots: int
    base: int
    filled: int = 0
    order_id: str = ""
    attempt: int = 0
    retry_ms: int | None = None
    given_up: str = ""


class Stranger(msgspec.Struct, omit_defaults=True):
    """An order that the venue names and the grid does not know.

    Attributes:
        fills: parked until the order is known, or the venue was asked.
        open: the venue says that it is open: it is cancelled.
    """

    fills: list[Fill] = []
    open: bool = False
    awaits: Awaits = Awaits.NOTHING
    since_ms: int = 0


class Quarantined(msgspec.Struct):
    """A report that cannot be true. The books know nothing of it.

    Attributes:
        reason: what was expected and what came.
        kind: of the report, such as Fill; report: its fields as plain values.
    """

    reason: str
    kind: str
    report: dict[str, Any]


class LastTrade(msgspec.Struct):
    """The newest trade of the generation, by the venue's time."""

    time_ms: int
    order_id: str
    trade_id: str
    ticks: int

    def key(self) -> tuple[int, int, str, str]:
        """Orders trades by time, then number."""
        return self.time_ms, len(self.trade_id), self.trade_id, self.order_id


class State(msgspec.Struct):
    """All of a grid.

    Attributes:
        generation: number of the present one, from 1; 0: none yet. cause: what it was built for.
        centre: around which it was built.
        wish: centre and cause of the next generation where no trade decides.
        carry: lots bought in partial fills and not yet offered (sold: below zero).
        orders: of the present generation; past: of those before.
        asked: numbers the questions; listing: the first for open orders since there was need to ask, 0: none waits for an answer.
        must_list: build nothing before the venue has said what is open.
        requests: ids of what was asked of the grid; alerts: of those that halted it.
        sends: when the commands of the last second were given.
        wake_ms: before then the time alone makes no command due (it may say too early, not too late).
        reason: for which it rests.
    """

    name: str
    spec: GridSpec
    books: Books
    mode: Mode = Mode.IDLE
    then: Then = Then.BUILD
    reason: str = ""
    generation: int = 0
    cause: str = ""
    centre: int = 0
    wish: tuple[int, str] = (0, "")
    carry: int = 0
    last: LastTrade | None = None
    now_ms: int = 0
    price: int | None = None
    price_ms: int = 0
    first_price: int | None = None
    triggered: bool = False
    slots: list[Slot] = []
    orders: dict[str, Order] = {}
    past: dict[str, Order] = {}
    strangers: dict[str, Stranger] = {}
    quarantine: list[Quarantined] = []
    quarantined: int = 0
    requests: list[str] = []
    alerts: list[str] = []
    sends: list[int] = []
    wake_ms: int = 0
    asked: int = 0
    listing: int = 0
    listing_ms: int = 0
    listing_due: bool = False
    listed_ms: int = 0
    must_list: bool = False

    @property
    def active(self) -> bool:
        """It places orders, or will after the barrier."""
        return self.mode in {Mode.PLACING, Mode.LIVE} or (self.mode is Mode.CANCELLING and self.then is Then.BUILD)

    def order(self, order_id: str) -> Order | None:
        """One of ours, present or past."""
        return self.orders.get(order_id) or self.past.get(order_id)

    def next_question(self) -> int:
        """A number that no question had before."""
        self.asked += 1
        return self.asked


def order_id(state: State, slot: Slot) -> str:
    """The same for the same grid, generation, side, level and attempt, for ever and on every run."""
    text = f"{state.name}\0{state.generation}\0{state.cause}\0{slot.side}\0{slot.level}\0{slot.attempt}"
    return blake2b(text.encode(), digest_size=12).hexdigest()
