"""The attacks planted in the synthetic flow, at known times, by or against accounts that are ordinary otherwise.

    layering                sizeable orders on one side, a fill on the other, the orders cancelled: all within 5 s
    wash_trade              two accounts of one owner trade back and forth, several times within a minute
    account_takeover        failed logins, a login from afar, new password or second factor, new address, the money gone
    withdrawal_structuring  four or more withdrawals just under 10 000 USD within ten minutes

Between the events of every second attack stands one that has nothing to do with it, as in life.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.demo.access import account_event, money
from streams.demo.market import MARKETS, OTHER, Market, Order, both_fills, order_event
from streams.demo.population import FAR_COUNTRIES, Account, address_of_network, chain_address

if TYPE_CHECKING:
    import random

    from streams.demo.market import Timed

FAMILIES = ("layering", "wash_trade", "account_takeover", "withdrawal_structuring")
ACCOUNTS_NEEDED = {"layering": 1, "wash_trade": 2, "account_takeover": 1, "withdrawal_structuring": 1}
LENGTH_MS = {"layering": 4_700, "wash_trade": 50_000, "account_takeover": 180_000, "withdrawal_structuring": 480_000}
QUIET_MS = 60_000  # no everyday account events of the account so long before and after


@dataclass(frozen=True, slots=True)
class Planted:
    """An attack that is in the flow.

    Attributes:
        rule_family: which kind, one of FAMILIES.
        account: who does it, or whom it happens to; of a wash trade the first of the two accounts.
        start_ms, end_ms: event time of its first and last event.
        event_ids: the events that make it up, in order; of a wash trade the fills of both accounts.
        accounts: all accounts of the attack.
    """

    rule_family: str
    account: str
    start_ms: int
    end_ms: int
    event_ids: tuple[str, ...]
    accounts: tuple[str, ...]


@dataclass(slots=True)
class _Slot:
    family: str
    number: int
    at: int
    accounts: list[Account]
    symbol: str


class Attacks:
    """Where attacks go, and what they consist of.

    Made before the everyday flow, with or without attacks in it, because the accounts concerned stay out of the way
    (``Account.avoids``, ``Account.quiet_ms``): so the everyday flow is the same either way.
    """

    def __init__(
        self,
        rng: random.Random,
        reserved: list[Account],
        makers: list[Account],
        start_ms: int,
        span_ms: int,
        per_family: int,
    ) -> None:
        self._rng = rng
        self._makers = makers
        self._scale = min(1.0, span_ms / 1_200_000)  # in a short flow the slow attacks go faster
        accounts = iter(reserved)
        self._slots: list[_Slot] = []
        for n in range(per_family):
            for f, family in enumerate(FAMILIES):
                length = self._length(family)
                share = (n + (f + rng.random()) / len(FAMILIES)) / per_family
                slot = _Slot(
                    family,
                    n,
                    start_ms + int(0.02 * span_ms + share * max(0.0, 0.94 * span_ms - length)),
                    [next(accounts) for _ in range(ACCOUNTS_NEEDED[family])],
                    rng.choice(MARKETS)[0],
                )
                for account in slot.accounts:
                    account.avoids = slot.symbol
                    account.quiet_ms = (slot.at - QUIET_MS, slot.at + length + QUIET_MS)
                if family == "wash_trade":
                    slot.accounts[1].owner = slot.accounts[0].owner
                self._slots.append(slot)

    def _length(self, family: str) -> int:
        return LENGTH_MS[family] if family == "layering" else int(LENGTH_MS[family] * self._scale)

    def plan(self) -> tuple[list[Planted], list[Timed]]:
        """The attacks by time, and their events by event time. To be asked for once."""
        planted: list[Planted] = []
        events: list[Timed] = []
        for slot in self._slots:
            make = _Script(self._rng, slot, self._scale if slot.family != "layering" else 1.0)
            own = getattr(make, slot.family)(self._makers)
            times = [timed[0] for timed in own]
            planted.append(
                Planted(
                    slot.family,
                    slot.accounts[0].id,
                    min(times),
                    max(times),
                    tuple(timed[2]["event_id"] for timed in own),
                    tuple(account.id for account in slot.accounts),
                )
            )
            events += make.events
        planted.sort(key=lambda attack: attack.start_ms)
        events.sort(key=lambda timed: timed[0])
        return planted, events


class _Script:
    """Writes one attack: every method returns the events that make it up, ``events`` has those around it as well."""

    def __init__(self, rng: random.Random, slot: _Slot, scale: float) -> None:
        self.events: list[Timed] = []
        self._rng = rng
        self._slot = slot
        self._scale = scale
        self._name = f"syn-x-{slot.family}-{slot.number}"
        self._orders = self._accounts = 0
        self._noisy = slot.number % 2 == 1
        price, decimals = next((row[1], row[2]) for row in MARKETS if row[0] == slot.symbol)
        self._market = Market(slot.symbol, price, decimals)

    def layering(self, makers: list[Account]) -> list[Timed]:
        account, rng = self._slot.accounts[0], self._rng
        side = rng.choice(("buy", "sell"))
        away = 1 if side == "sell" else -1
        layers = []
        own: list[Timed] = []
        count = rng.randrange(4, 7)
        for n in range(count):
            price = self._price(1 + away * (0.0008 + 0.0002 * n))
            order, told = self._order(150 * n, account, side, price, rng.uniform(60_000, 200_000))
            layers.append(order)
            own.append(told)
        if self._noisy:
            elsewhere = Market(next(row[0] for row in MARKETS if row[0] != self._slot.symbol), 100.0, 2)
            self._order(1_100, account, side, 100.0, 500.0, elsewhere)
        own.append(self._trade(1_300 + rng.randrange(900), account, rng.choice(makers), OTHER[side], 9_000.0)[0])
        own += [self._cancel(2_600 + 300 * n, order) for n, order in enumerate(layers)]
        return own

    def wash_trade(self, makers: list[Account]) -> list[Timed]:
        one, other = self._slot.accounts
        own: list[Timed] = []
        trips = self._rng.randrange(4, 7)
        for n in range(trips):
            notional = self._rng.uniform(5_000, 20_000)
            there = self._trade(n * 8_000, one, other, "sell", notional)
            if self._noisy and n == 1:
                self._trade(n * 8_000 + 1_500, one, self._rng.choice(makers), "buy", 700.0)
            back = self._trade(n * 8_000 + 3_000, one, other, "buy", notional)
            own += [*there, *back]
        return own

    def account_takeover(self, _: list[Account]) -> list[Timed]:
        victim, rng = self._slot.accounts[0], self._rng
        thief: dict[str, Any] = {
            "country": rng.choice(FAR_COUNTRIES),
            "ip": address_of_network(rng),
            "device": f"dev-{rng.getrandbits(32):08x}",
        }
        address = {"address": chain_address(rng)}
        failures = rng.randrange(3, 6)
        own = [self._tell(6_000 * n + rng.randrange(2_000), victim, "login_failed", thief) for n in range(failures)]
        own.append(self._tell(45_000, victim, "login", thief))
        if self._noisy:
            self._tell(55_000, victim, "login", thief)
        own.append(self._tell(70_000, victim, rng.choice(("password_changed", "two_factor_changed")), thief))
        own.append(self._tell(100_000 + rng.randrange(9_000), victim, "address_whitelisted", {**thief, **address}))
        loot = money(rng, victim, victim.balance_usd * rng.uniform(0.9, 0.97))
        own.append(self._tell(130_000 + rng.randrange(40_000), victim, "withdrawal", {**loot, **thief, **address}))
        return own

    def withdrawal_structuring(self, _: list[Account]) -> list[Timed]:
        account, rng = self._slot.accounts[0], self._rng
        count = rng.randrange(4, 7)
        self._tell(0, account, "login", {})
        own: list[Timed] = []
        for n in range(count):
            own.append(
                self._tell(
                    20_000 + 80_000 * n + rng.randrange(30_000),
                    account,
                    "withdrawal",
                    money(rng, account, rng.uniform(8_500, 9_999)),
                )
            )
            if self._noisy and n == 1:
                self._tell(20_000 + 80_000 * n + 50_000, account, "login", {})
        return own

    def _at(self, after_ms: float) -> int:
        return self._slot.at + int(after_ms * self._scale)

    def _price(self, factor: float = 1.0) -> float:
        return round(self._market.mid * factor, self._market.decimals)

    def _order(
        self,
        after_ms: float,
        account: Account,
        side: str,
        price: float | None,
        notional: float,
        market: Market | None = None,
    ) -> tuple[Order, Timed]:
        self._orders += 1
        qty = round(notional / (price or self._market.mid), 6)
        order = Order(f"{self._name}-ord-{self._orders}", account, market or self._market, side, price, qty)
        return order, self._about(after_ms, order, "new", qty)

    def _cancel(self, after_ms: float, order: Order) -> Timed:
        return self._about(after_ms, order, "cancel", order.open)

    def _about(self, after_ms: float, order: Order, action: str, qty: float) -> Timed:
        ts = self._at(after_ms)
        self.events.append((ts, "orders", order_event(order, action, qty, ts)))
        return self.events[-1]

    def _trade(self, after_ms: float, taker: Account, maker: Account, side: str, notional: float) -> list[Timed]:
        """The taker's order meets one of the maker's, a few milliseconds after both were placed: the two fills."""
        resting, _ = self._order(after_ms, maker, OTHER[side], self._price(), notional)
        taking, _ = self._order(after_ms + 20, taker, side, self._price(), notional)
        ts = self._at(after_ms + 60)
        qty = min(resting.open, taking.open)
        fills = both_fills(ts, f"{taking.id}-t", taking, resting, self._price(), qty)
        self.events += fills
        return fills

    def _tell(self, after_ms: float, account: Account, kind: str, more: dict[str, Any]) -> Timed:
        self._accounts += 1
        ts = self._at(after_ms)
        event_id = f"{self._name}-{self._accounts}"
        self.events.append((ts, "accounts", account_event(event_id, account, kind, ts, more)))
        return self.events[-1]
