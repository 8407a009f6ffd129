"""A grid, a venue, and a network between them that loses, doubles, delays and reorders; and a watch over both.

The watch trusts the venue and the messages only: it keeps its own sums, in fractions, and knows of the grid no more than which
level an order id is for.
"""

import json
import random
from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import msgspec
from gridvenue import Resting, Venue

from m1cep.grid.machine import (
    Grid,
    GridSpec,
    Halt,
    Mode,
    Pause,
    Phase,
    Price,
    Reconnected,
    Resume,
    Rung,
    Start,
    Stop,
    Tick,
)
from m1cep.grid.orders import Cancel, Cancelled, Fill, Lifecycle, Market, Place, Side


@dataclass
class Faults:
    lost: float = 0
    doubled: float = 0
    delay_ms: int = 0  # at most: what is delayed differently is reordered
    crash: float = 0
    nonsense: float = 0
    cancelled: float = 0  # an order, by the venue, unasked
    asked: float = 0  # pause, resume, halt, stop, reconnected
    stop: float = 0


NONE = Faults()


def random_spec(rng):
    market = Market(
        "BTC-USD",
        Decimal("0.5"),
        Decimal("0.001"),
        rng.choice([Decimal(0), Decimal(0), Decimal("1.5")]),
        rng.choice([Decimal(0), Decimal("0.0012"), Decimal("0.003"), Decimal("-0.0001")]),
        Decimal("0.002"),
    )

    def rungs():
        if rng.random() < 0.5:
            return tuple(Rung(lots=rng.randint(1, 9), ticks=rng.randint(1, 12)) for _ in range(rng.randint(1, 4)))
        ratio = Decimal(rng.randint(1, 15)) / 1000
        if rng.random() < 0.5:
            return (Rung(lots=rng.randint(1, 9), ratio=ratio),) * rng.randint(1, 4)
        return (Rung(quote=Decimal(rng.randint(1, 6)), ratio=ratio),) * rng.randint(1, 4)

    ask_after = rng.choice([1_000, 4_000])
    sometimes = lambda value: value if rng.random() < 0.2 else None  # noqa: E731
    return GridSpec(
        market=market,
        centre_ticks=1000,
        up=rungs(),
        down=rungs(),
        cash=Decimal(rng.choice([4, 20, 100])),
        lots=rng.choice([0, 10, 40]),
        compound=rng.random() < 0.2,
        max_orders=rng.choice([2, 5, 200]),
        max_lots=rng.choice([None, 20, 60]),
        rate_per_s=rng.choice([2, 10, 50]),
        recreate_lots=sometimes(2),
        trigger_ticks=sometimes(1005),
        stop_loss_ticks=sometimes(970),
        take_profit_ticks=sometimes(1070),
        close_ticks=sometimes(3),
        trail_up_ticks=sometimes(15),
        trail_down_ticks=sometimes(20),
        retries=rng.choice([0, 2, 5]),
        retry_ms=500,
        place_ttl_ms=ask_after * 3 // 4,
        ask_after_ms=ask_after,
        reconcile_ms=8_000,
        remember=rng.choice([3, 100]),
    )


class World:
    def __init__(self, seed, faults=NONE, spec=None):
        self.rng = random.Random(seed)
        self.faults, self.spec = faults, spec or random_spec(self.rng)
        self.grid = Grid("g", self.spec)
        self.venue = Venue(self.spec.market, 1000)
        self.now_ms, self.sent, self.requests = 1_000, 0, 0
        self.to_venue, self.to_grid = [], []  # (due, number, message)
        self.events, self.commands = [], []  # all that the grid heard, and what it said to each
        self.kept = [(0, self.bytes(self.grid))]
        self.watch = Watch(self)

    @staticmethod
    def bytes(grid):
        return msgspec.json.encode(grid.snapshot())

    # -- the grid

    def hear(self, event):
        """Give the grid an event, and its commands to the network."""
        before = self.bytes(self.grid) if self.rng.random() < 0.15 else None
        said = self.grid.handle(event)
        if before:
            self.check_twin(before, event, said)
        self.events.append(event)
        self.commands.append(said)
        self.watch.heard(event, said)
        if len(self.events) % 7 == 0:
            self.kept.append((len(self.events), self.bytes(self.grid)))
        for command in said:
            self.post(self.to_venue, command)
        self.watch.look()

    def check_twin(self, before, event, said):
        twin = Grid.restore(json.loads(before))
        assert twin.handle(event) == said, "a restored grid says something else"
        after = self.bytes(twin)
        assert after == self.bytes(self.grid), "a restored grid comes to be another"
        assert twin.handle(event) == [], "an event said twice gives commands twice"
        assert self.bytes(twin) == after, "an event said twice changes something"

    def crash(self):
        """Begin again from an older snapshot: the events since then are heard once more, and commands given twice."""
        expected = self.bytes(self.grid)
        at, kept = self.rng.choice(self.kept[-4:])
        self.grid = Grid.restore(json.loads(kept))
        for event, before in zip(self.events[at:], self.commands[at:], strict=True):
            again = self.grid.handle(event)
            assert again == before, "after a crash the same events give other commands"
            for command in again:
                self.post(self.to_venue, command)
        assert self.bytes(self.grid) == expected, "after a crash the grid is another"

    # -- the network

    def post(self, queue, message):
        for _ in range(1 + (self.rng.random() < self.faults.doubled)):
            if self.rng.random() >= self.faults.lost:
                self.sent += 1
                queue.append((self.now_ms + self.rng.randint(0, self.faults.delay_ms), self.sent, message))

    def deliver(self):
        """Everything that is due, and what comes of it if it is due too."""
        while True:
            due = sorted(m for m in self.to_venue + self.to_grid if m[0] <= self.now_ms)
            if not due:
                return
            for entry in due:
                if entry in self.to_venue:
                    self.to_venue.remove(entry)
                    self.arrive(entry[2])
                else:
                    self.to_grid.remove(entry)
                    self.hear(entry[2])

    def arrive(self, command):
        if isinstance(command, Place) and self.now_ms > command.expires_ms:
            return
        for report in self.venue.take(command):
            self.post(self.to_grid, report)
        self.watch.look()

    # -- time and chance

    def pass_time(self, ms):
        self.now_ms += ms
        self.hear(Tick(self.now_ms))
        self.deliver()

    def ask(self, kind):
        self.requests += 1
        request = kind(f"{kind.__name__}-{self.requests}")
        self.hear(request)
        if self.rng.random() < self.faults.doubled:
            self.to_grid.append((self.now_ms + self.rng.randint(0, 5_000), -self.requests, request))

    def move(self, price, lots=0):
        for fill in self.venue.move(max(1, price), lots):
            self.post(self.to_grid, fill)
        self.watch.look()

    def start(self):
        if self.faults.nonsense:  # left over from somebody
            self.venue.orders["old"] = Resting(Side.BUY, 990, 5)
        self.hear(Tick(self.now_ms))
        self.ask(Start)

    def step(self):
        rng, faults = self.rng, self.faults
        dice = rng.random
        self.pass_time(rng.choice([1, 20, 200, 900, 3_000]))
        if dice() < 0.6:
            self.move(self.somewhere(), rng.choice([0, 1, 3, 9]))
        if dice() < 0.3:
            self.hear(Price(self.now_ms, self.venue.price))
        if dice() < faults.asked:
            self.ask(rng.choice([Pause, Resume, Resume, Resume, Halt, Reconnected]))
        if dice() < faults.stop:
            self.ask(Stop)
        if dice() < faults.cancelled:
            self.venue_cancels()
        if dice() < faults.nonsense:
            self.nonsense()
        if dice() < faults.crash:
            self.crash()

    def somewhere(self):
        """A price: often where an order stands, else near the last one, or near where the grid is."""
        rng = self.rng
        standing = [order.ticks for order in self.venue.orders.values() if order.left]
        if standing and rng.random() < 0.6:
            return rng.choice(standing) + rng.choice([-1, 0, 0, 0, 1])
        return rng.choice([self.venue.price, self.grid.state.centre or 1000]) + rng.randint(-25, 25)

    def venue_cancels(self):
        alive = [i for i, order in self.venue.orders.items() if order.left]
        if alive:
            for report in self.venue.take(Cancel(self.rng.choice(alive))):
                self.post(self.to_grid, report)

    def nonsense(self):
        """A report that cannot be true."""
        rng = self.rng
        ids = [i for i in self.watch.level_of if self.grid.state.order(i) is not None]
        order = self.grid.state.order(rng.choice(ids)) if ids else None
        fill = Fill("nobody", f"n{rng.randint(0, 3)}", Side.BUY, 1000, 1, Decimal(0), True, 1)
        if order is not None:
            true = Fill(order.id, f"x{rng.randint(0, 9)}", order.side, order.ticks, 1, Decimal(0), True, 1)
            fill = rng.choice(
                [
                    fill,
                    replace(true, lots=-1),
                    replace(true, lots=0),
                    replace(true, lots=order.lots + 1),
                    replace(true, side=order.side.other),
                    replace(true, ticks=order.ticks + (1 if order.side is Side.BUY else -1)),
                    replace(true, ticks=0),
                    replace(true, fee=Decimal("nan")),
                    replace(true, fee=Decimal("1e-9000")),
                    Cancelled(order.id, order.lots + 1),
                    Cancelled(order.id, -1),
                ]
            )
        before, counted = self.grid.snapshot()["state"]["books"], self.grid.state.quarantine.copy()
        self.hear(fill)
        assert self.grid.snapshot()["state"]["books"] == before, "nonsense reached the books"
        if fill.order_id != "nobody":
            assert self.grid.state.quarantine[-1:] != counted[-1:] or _told(counted, fill), "nonsense was not put aside"

    def settle(self):
        """The network is good again and the market stands still: until nothing more happens."""
        self.faults = NONE
        for _ in range(120):
            self.pass_time(800)
        self.deliver()
        self.watch.rested()


def _told(quarantine, fill):
    return any(entry.report["order_id"] == fill.order_id and entry.kind == type(fill).__name__ for entry in quarantine)


class Purse:
    """Cash and holdings by the trades alone, in fractions."""

    def __init__(self, spec):
        self.unit, self.fee = Fraction(spec.market.tick) * Fraction(spec.market.lot), Fraction(spec.market.maker_fee)
        self.cash, self.lots = Fraction(spec.cash), spec.lots

    def add(self, trade):
        sign = 1 if trade.side is Side.BUY else -1
        self.lots += sign * trade.lots
        self.cash -= sign * trade.lots * trade.ticks * self.unit + Fraction(trade.fee)


class Watch:
    """The invariants of the design, each with its name in the message."""

    def __init__(self, world):
        self.world = world
        self.places = {}  # by id: the command
        self.level_of = {}  # by id: generation, side, level
        self.fills = {}  # what the grid was told, by order and trade: once each
        self.told = Purse(world.spec)  # from these
        self.true, self.counted = Purse(world.spec), 0  # from the venue's trades, so many
        self.requests, self.resting, self.stopped = set(), True, False
        self.said = defaultdict(int)  # commands by the grid's time
        self.time = 0
        self.done, self.filled = set(), {}

    # -- what the grid hears and says

    def heard(self, event, said):
        world = self.world
        match event:
            case Tick():
                self.time = max(self.time, event.time_ms)
            case Fill() if event in world.venue.trades and event.order_id in self.level_of:
                if (event.order_id, event.trade_id) not in self.fills:
                    self.told.add(event)
                self.fills[event.order_id, event.trade_id] = event
            case Start() | Pause() | Resume() | Stop() | Halt() | Reconnected() if event not in self.requests:
                self.requests.add(event)
                self.request(event)
            case _:
                pass
        self.rate(said)
        if isinstance(event, Tick) and not said:
            return
        for command in said:
            if isinstance(command, Place):
                self.placed(command)
        self.books()
        self.orders()

    def request(self, event):
        if isinstance(event, Pause | Halt | Stop):
            self.resting = True
        elif isinstance(event, Start | Resume):
            self.resting = False
        self.stopped = self.stopped or isinstance(event, Stop)

    def rate(self, said):
        self.said[self.time] += len(said)
        last = sum(n for time, n in self.said.items() if time > self.time - 1_000)
        assert last <= self.world.spec.rate_per_s, f"{last} commands in a second"
        self.said = defaultdict(int, {time: n for time, n in self.said.items() if time > self.time - 1_000})

    def placed(self, place):
        world, market = self.world, self.world.spec.market
        assert not self.stopped, "an order of a grid that was stopped"
        assert "old" not in world.venue.orders or not world.venue.orders["old"].left, (
            "an order before what was open is gone"
        )
        known = self.places.setdefault(place.order_id, place)
        assert replace(known, expires_ms=0) == replace(place, expires_ms=0), "one id for two orders"
        order = world.grid.state.orders[place.order_id]
        assert not order.level or not self.resting, "an order of a grid that rests"  # closing goes on
        self.level_of[place.order_id] = (order.generation, order.side, order.level)
        assert type(place.ticks) is int, "a price beside the ticks"
        assert place.ticks > 0
        assert type(place.lots) is int, "a quantity beside the lots"
        assert place.lots > 0
        assert place.post_only is (order.level > 0), "only an order that closes may take"
        assert market.notional(place.ticks, place.lots) >= market.min_notional, "an order below min_notional"

    def books(self):
        world, books = self.world, self.world.grid.state.books
        assert books.lots == self.told.lots, "position is not the sum of unique fills"
        assert Fraction(books.cash) == self.told.cash, "cash is not conserved"
        if books.start_ticks:
            mark = world.rng.randint(1, 2000)
            assert books.grid_profit() + books.floating(mark) == books.equity_change(mark), (
                "profit is not change of equity"
            )

    def orders(self):
        for order in self.world.grid.state.orders.values():
            assert 0 <= order.filled <= order.lots, "filled beyond the quantity"
            assert order.filled >= self.filled.get(order.id, 0), "filled went back"
            self.filled[order.id] = order.filled
            if order.phase is Phase.DONE:
                self.done.add(order.id)
            assert order.id not in self.done or order.phase is Phase.DONE, "an order that had ended came back"

    # -- what is true at the venue

    def possible(self):
        """Orders that are open at the venue, or on their way to it and not too late."""
        world = self.world
        found = {i: (o.side, o.ticks, o.left) for i, o in world.venue.orders.items() if o.left and i in self.level_of}
        for _, _, message in world.to_venue:
            if (
                isinstance(message, Place)
                and message.order_id not in world.venue.orders
                and message.expires_ms >= world.now_ms
            ):
                found[message.order_id] = (message.side, message.ticks, message.lots)
        return found

    def look(self):
        spec, possible = self.world.spec, self.possible()
        levels = [self.level_of[i] for i in possible]
        assert len(set(levels)) == len(levels), "two live orders on one level"
        assert len({generation for generation, _, _ in levels}) <= 1, "two generations live"
        assert len(possible) <= spec.max_orders, "more open orders than allowed"
        buys = {ticks: lots for side, ticks, lots in possible.values() if side is Side.BUY}
        sells = {ticks: lots for side, ticks, lots in possible.values() if side is Side.SELL}
        if buys and sells:
            assert max(buys) < min(sells), "own bid not below own ask"
        fee, ladder = self.true.fee, sorted([*buys, *sells])
        for low, high in pairwise(ladder):
            assert high * (1 - fee) >= low * (1 + fee), "spacing below the fee floor"
        for trade in self.world.venue.trades[self.counted :]:
            self.counted += 1
            if trade.order_id in self.level_of:
                self.true.add(trade)
        lots = self.true.lots
        pending = sum(ticks * left for ticks, left in buys.items()) * self.true.unit * (1 + max(fee, 0))
        assert self.true.cash >= pending, "free cash below zero"
        assert lots >= sum(sells.values()), "more offered than held"
        assert spec.max_lots is None or not buys or lots + sum(buys.values()) <= spec.max_lots, (
            "exposure above its limit"
        )

    def rested(self):
        """When nothing is lost any more, the grid comes to know the truth."""
        world, state = self.world, self.world.grid.state
        closing = state.mode is Mode.CLOSING and world.grid.open_orders
        assert closing or state.mode not in {Mode.CANCELLING, Mode.PLACING, Mode.CLOSING}, f"stuck {state.mode}"
        ours = [trade for trade in world.venue.trades if trade.order_id in self.level_of]
        assert len(self.fills) == len(ours), "a fill was never learnt of"
        open_there = {i for i, order in world.venue.orders.items() if order.left}
        if state.mode not in {Mode.IDLE, Mode.WAITING}:
            assert open_there == {order.id for order in world.grid.open_orders}, (
                "the grid's open orders are not the venue's"
            )
        if state.mode not in {Mode.LIVE, Mode.CLOSING}:
            assert not open_there - {"old"}, "a grid that rests has orders"
        assert all(o.state is not Lifecycle.UNKNOWN for o in world.venue.orders.values())
        assert not state.strangers, "a stranger was forgotten"
