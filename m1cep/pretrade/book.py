"""All accounts as the topics tell of them, and the orders accepted here that the topics do not tell of yet.

What is known is a matter of which events have come, not of their order nor of repetitions, as far back as ids are remembered.
So that exposure is never counted too low while events are on their way:

    accepted here            open, until the order is announced; let go of when it is not within ``confirm_within_ms``
    cancel before its fills  a cancel says what was left: what was filled before it stays open until those fills come
    fill before its order    the position moves; the order is known as filled by so much when it comes
    symbol forgotten         nobody holds it or has an order in it: it has no price again, as one that was never heard of
    alert closed             it and its freeze stand against no order, until it is reopened; also where it comes after its closing

Times are the caller's clock, in epoch ms; ``lapse`` is told up to when everything has been read, and lets go of nothing before.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from m1cep.pretrade.holdings import Account, Holding, Market, Order
from m1cep.pretrade.known import Known
from m1cep.pretrade.orders import Side

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from m1cep.pretrade.limits import Rules
    from m1cep.pretrade.orders import NewOrder

#: So many orders that are over, and fills, are remembered at least, to know their repetitions.
REMEMBERED = 100_000
#: So many alerts that are closed are remembered, with what they had brought upon accounts.
MOST_CLOSED = 100_000
#: So many notes of what is waited for, before those that are settled are looked for and thrown away.
MOST_SETTLING = 10_000
#: So many symbols are remembered, beside those that somebody holds or has ordered and those of the limits.
MOST_MARKETS = 50_000
#: An account names so many of its alerts; whatever comes beyond them is one entry.
MOST_ALERTS = 100
BEYOND = "*"


class Book:
    """The state of the pre-trade check.

    Args:
        rules: for the times.
        remembered: see ``REMEMBERED``.
    """

    def __init__(self, rules: Rules, remembered: int = REMEMBERED) -> None:
        self.rules = rules
        self.accounts: dict[str, Account] = {}
        self.markets: dict[str, Market] = {}
        self.over, self.fills, self.lifts = (Known(remembered) for _ in range(3))
        #: By alert that is closed: account, what it was (a freeze or not), rule.
        self.closed: dict[str, list[tuple[str, bool, str]]] = {}
        self._stands: dict[str, set[str]] = {}  # accounts by alert
        self._waiting: deque[tuple[int, str, str]] = deque()
        self._settling: deque[tuple[int, str, str]] = deque()
        self._silent: deque[tuple[int, str]] = deque()  # accounts of which only the rate of their orders is left
        self._most_settling = MOST_SETTLING
        self._most_markets = MOST_MARKETS
        self.forgotten_markets = 0

    # -- what the topics tell

    def announced(self, account: str, order: NewOrder, now_ms: int) -> None:
        """An order was placed."""
        if _key(account, order.id) in self.over:
            return
        self.price(order.symbol, order.price, 0)
        known, before = self._known(account, order.id, order.symbol, order.side)
        if not known.announced:
            known.size, known.price, known.announced = order.qty, order.price, True
        else:
            known.size = max(known.size or 0, order.qty)
        known.until_ms = 0
        if known.left is not None:
            self._settle_by(known, account, order.id, now_ms)
        self._changed(account, order.id, known, before)

    def cancelled(self, account: str, order_id: str, symbol: str, side: Side, left: int, now_ms: int) -> None:
        """What was left of an order was cancelled."""
        if _key(account, order_id) in self.over:
            return
        known, before = self._known(account, order_id, symbol, side)
        known.left = left if known.left is None else min(left, known.left)
        self._settle_by(known, account, order_id, now_ms)
        self._changed(account, order_id, known, before)

    def filled(
        self, account: str, order_id: str, trade_id: str, symbol: str, side: Side, qty: int, price: int, now_ms: int
    ) -> None:
        """An order was filled, in part or whole."""
        if not self.fills.add(f"{_key(account, order_id)}\0{trade_id}"):
            return
        self.price(symbol, price, 1)
        if _key(account, order_id) in self.over:
            self._move(account, symbol, side * qty, 0, 0)
            return
        known, before = self._known(account, order_id, symbol, side)
        known.filled += qty
        if not known.announced:
            self._settle_by(known, account, order_id, now_ms)
        self._changed(account, order_id, known, before, side * qty)

    def price(self, symbol: str, price: int | None, rank: int = 2) -> None:
        """A price was heard: 2 of a trade in the market, 1 of a fill, 0 of an order. Of the best the last counts; of orders the
        highest, for anybody can name a low one.
        """
        if price is not None:
            market = self._market(symbol)
            self.markets[symbol] = self.markets.pop(symbol)  # to the end: the one heard of last
            if not rank and not market.rank:
                market.price = max(price, market.price or 0)
            elif rank >= market.rank:
                market.price, market.rank, market.given = price, rank, False

    def froze(self, account: str, alert_id: str, rule: str) -> None:
        """An action of a rule froze an account; stands until it is lifted or its alert closed."""
        self._stand(account, alert_id, rule, freeze=True)

    def alerted(self, account: str, alert_id: str, rule: str) -> None:
        """An alert that is so grave that it refuses orders; stands until it is lifted or closed."""
        self._stand(account, alert_id, rule, freeze=False)

    def alert_closed(self, alert_id: str) -> None:
        """A person has dealt with an alert: nothing that it brought stands, until it is reopened."""
        closed = self.closed.setdefault(alert_id, [])
        for name in self._stands.pop(alert_id, ()):
            account = self.accounts[name]
            for freeze, standing in ((True, account.frozen), (False, account.alerts)):
                if (rule := standing.pop(alert_id, None)) is not None:
                    closed.append((name, freeze, rule))
        while len(self.closed) > MOST_CLOSED:  # told again, it stands again: what is forgotten refuses orders
            del self.closed[next(iter(self.closed))]

    def alert_reopened(self, alert_id: str) -> None:
        """It is not dealt with after all."""
        for account, freeze, rule in self.closed.pop(alert_id, ()):
            self._stand(account, alert_id, rule, freeze=freeze)

    def accounts_of(self, alert_id: str) -> AbstractSet[str]:
        """Accounts upon which an alert has brought something that stands."""
        return self._stands.get(alert_id, frozenset())

    def lifted(self, account: str, alert_id: str) -> None:
        """A person has dealt with an alert: for good, also with what it brought and what of it is still on its way."""
        if alert_id != BEYOND:
            self.lifts.add(_key(account, alert_id))
        if (known := self.accounts.get(account)) is not None:
            known.frozen.pop(alert_id, None)
            known.alerts.pop(alert_id, None)
            if stands := self._stands.get(alert_id):
                stands.discard(account)
                if not stands:
                    del self._stands[alert_id]

    def margin(self, account: str, event_id: str, time_ms: int, *, short: bool) -> None:
        """A report on an account's margin; the newest counts."""
        known = self._account(account)
        if known.margin is None or (time_ms, event_id) > known.margin[:2]:
            known.margin = time_ms, event_id, short

    # -- what is accepted here

    def reserve(self, order: NewOrder, now_ms: int) -> None:
        """Count an order that was accepted here, before the topics tell of it. It must not be known."""
        self.price(order.symbol, order.price, 0)
        account = self._account(order.account)
        known = Order(order.symbol, order.side, order.qty, order.price)
        known.until_ms = now_ms + self.rules.confirm_within_ms
        account.orders[order.id] = known
        self._waiting.append((known.until_ms, order.account, order.id))
        self._changed(order.account, order.id, known, 0)

    def renew(self, order: NewOrder, now_ms: int) -> None:
        """It was asked for again, and the answer was yes: it may be placed as late as if it had been asked for now."""
        known = self.known(order.account, order.id)
        if known is not None and not known.announced and not known.filled and known.left is None:
            known.until_ms = now_ms + self.rules.confirm_within_ms
            self._waiting.append((known.until_ms, order.account, order.id))

    def known(self, account: str, order_id: str) -> Order | None:
        """The order, unless it is over or was never heard of."""
        found = self.accounts.get(account)
        return None if found is None else found.orders.get(order_id)

    def unheard(self, symbol: str) -> Market:
        """A symbol of which nothing was heard yet."""
        first = self.rules.first_prices.get(symbol)
        return Market(first, -1 if first is None else 1, self.rules.rate(symbol), given=first is not None)

    def is_over(self, account: str, order_id: str) -> bool:
        """Whether it is one of the last orders of which nothing more can come."""
        return _key(account, order_id) in self.over

    def lapse(self, read_until_ms: int) -> int:
        """Let go of what should have been heard of by now.

        Args:
            read_until_ms: everything that was on the topics then has been taken in.

        Returns:
            How many orders were let go of.
        """
        gone = 0
        for queue in (self._waiting, self._settling):
            while queue and queue[0][0] <= read_until_ms:
                until_ms, account, order_id = queue.popleft()
                known = self.known(account, order_id)
                if known is not None and known.until_ms == until_ms:
                    self._drop(account, order_id, known)
                    gone += 1
        while self._silent and self._silent[0][0] <= read_until_ms:
            name = self._silent.popleft()[1]
            silent = self.accounts.get(name)
            if silent is None or not silent.nothing:
                continue
            # A check since then may have forgotten what no longer counts.
            if not silent.accepted_ms or silent.accepted_ms[-1] <= read_until_ms - self.rules.window_ms:
                del self.accounts[name]
        if len(self.markets) > self._most_markets:
            self._forget_markets()
        return gone

    def _forget_markets(self) -> None:
        """Those heard of longest ago, first such as only orders have named: anybody can name any number of them."""
        free = [
            (market.rank > 0, symbol)
            for symbol, market in self.markets.items()
            if not (market.total or symbol in self.rules.symbols or symbol in self.rules.first_prices)
        ]
        free.sort(key=lambda one: one[0])
        wanted = len(self.markets) - MOST_MARKETS * 9 // 10  # some more than needed: to look at all of them takes time
        for _, symbol in free[:wanted]:
            del self.markets[symbol]
        self.forgotten_markets += len(free[:wanted])
        self._most_markets = max(MOST_MARKETS, len(self.markets) * 11 // 10)

    def expect_again(self, now_ms: int) -> None:
        """After ``load``: what is waited for is waited for anew."""
        for name, account in self.accounts.items():
            for order_id, order in account.orders.items():
                if order.until_ms:
                    self._settle_by(order, name, order_id, now_ms)

    def put_back(self, account: str, order_id: str, order: Order) -> None:
        """An order from a snapshot."""
        self._account(account).orders[order_id] = order
        self._changed(account, order_id, order, 0)

    def put_back_position(self, account: str, symbol: str, position: int) -> None:
        """A position from a snapshot."""
        self._move(account, symbol, position, 0, 0)

    # -- inside

    def _stand(self, account: str, alert_id: str, rule: str, *, freeze: bool) -> None:
        if _key(account, alert_id) in self.lifts:
            return
        if (closed := self.closed.get(alert_id)) is not None:
            if (account, freeze, rule) not in closed:
                closed.append((account, freeze, rule))
            return
        found = self._account(account)
        _note(found.frozen if freeze else found.alerts, alert_id, rule)
        if alert_id in found.frozen or alert_id in found.alerts:
            self._stands.setdefault(alert_id, set()).add(account)

    def _account(self, name: str) -> Account:
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = Account()
        return found

    def _market(self, symbol: str) -> Market:
        found = self.markets.get(symbol)
        if found is None:
            found = self.markets[symbol] = self.unheard(symbol)
        return found

    def _known(self, account: str, order_id: str, symbol: str, side: Side) -> tuple[Order, int]:
        """The order, made when it is heard of for the first time, and what of it was open."""
        orders = self._account(account).orders
        known = orders.get(order_id)
        if known is not None and (known.symbol, known.side) != (symbol, side) and not known.announced:
            # It was placed as another order than the one that was accepted: what the topics tell counts.
            self._drop(account, order_id, known)
            orders, known = self._account(account).orders, None
        if known is None:
            known = orders[order_id] = Order(symbol, side)
        return known, known.open

    def _settle_by(self, order: Order, account: str, order_id: str, now_ms: int) -> None:
        order.until_ms = now_ms + self.rules.settle_within_ms
        self._settling.append((order.until_ms, account, order_id))
        if len(self._settling) > self._most_settling:  # a long history is read, and most of it has settled already
            waiting = ((due, known) for due in self._settling if (known := self.known(due[1], due[2])) is not None)
            self._settling = deque(due for due, known in waiting if known.until_ms == due[0])
            self._most_settling = max(MOST_SETTLING, 2 * len(self._settling))

    def _changed(self, account: str, order_id: str, order: Order, before: int, moved: int = 0) -> None:
        """Bring the sums up to date after an order has changed, of which so much was open before."""
        after = order.open
        found = self.accounts[account]
        found.open += (after > 0) - (before > 0)
        if order.side is Side.BUY:
            self._move(account, order.symbol, moved, after - before, 0)
        else:
            self._move(account, order.symbol, moved, 0, after - before)
        if order.over:
            del found.orders[order_id]
            self.over.add(_key(account, order_id))

    def _move(self, account: str, symbol: str, position: int, buys: int, sells: int) -> None:
        holdings = self._account(account).holdings
        holding = holdings.get(symbol)
        if holding is None:
            holding = holdings[symbol] = Holding()
        before = holding.worst
        holding.position += position
        holding.buys += buys
        holding.sells += sells
        self._market(symbol).total += holding.worst - before
        if not (holding.position or holding.buys or holding.sells):
            del holdings[symbol]

    def _drop(self, account: str, order_id: str, order: Order) -> None:
        before = order.open
        if order.left is not None:  # it is over; one that was only filled may still be announced
            self.over.add(_key(account, order_id))
        order.size = None  # nothing of it is open
        self._changed(account, order_id, order, before)
        found = self.accounts[account]
        del found.orders[order_id]
        if found.nothing and found.accepted_ms:
            self._silent.append((found.accepted_ms[-1] + self.rules.window_ms, account))
        elif found.nothing:
            del self.accounts[account]


def _key(account: str, order_id: str) -> str:
    return f"{account}\0{order_id}"


def _note(alerts: dict[str, str], alert_id: str, rule: str) -> None:
    if alert_id in alerts or len(alerts) < MOST_ALERTS:
        alerts[alert_id] = rule
    else:
        alerts[BEYOND] = rule
