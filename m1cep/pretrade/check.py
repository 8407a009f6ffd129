"""The decision: an order against the limits, and what stands against its account. All reasons are given, not only the first.

An order that does not make an account's possible positions larger passes the limits of exposure even where they are exceeded:
who has too much must be able to sell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.pretrade.amounts import DIGITS, ONE, VALUE_DIGITS, text
from m1cep.pretrade.holdings import Holding
from m1cep.pretrade.limits import InForce
from m1cep.pretrade.orders import ACCEPTED, Code, Reason, Side

if TYPE_CHECKING:
    from m1cep.pretrade.book import Book
    from m1cep.pretrade.holdings import Account, Market
    from m1cep.pretrade.limits import Limits, Rules
    from m1cep.pretrade.orders import NewOrder
    from m1cep.runtime.lookups import Lookups

_NOTHING = Holding()


class Checker:
    """Decides on orders, and counts those that it accepts in the book.

    Args:
        rules: the limits.
        book: the state.
        lookups: lists and parameters as they are now.
    """

    def __init__(self, rules: Rules, book: Book, lookups: Lookups) -> None:
        self.rules, self.book = rules, book
        self._lookups = lookups
        self.in_force = InForce(rules, lookups)

    def limits(self, order: NewOrder) -> Limits:
        """What counts for the order now, for ``check`` of a batch: when this fails of one of its orders, none is counted yet.

        Raises:
            PretradeError: a parameter is not a limit.
        """
        return self.in_force.of(order.account, order.symbol)

    def check(
        self, order: NewOrder, now_ms: int, *, dry_run: bool = False, limits: Limits | None = None
    ) -> tuple[Reason, ...]:
        """The reasons to reject an order; without one it is accepted and from now on counted.

        The same order asked about again is accepted again and counted once.

        Args:
            order: the order.
            now_ms: for the limit on the rate.
            dry_run: do not count it.
            limits: from ``limits``, where it was called before.

        Raises:
            PretradeError: a parameter is not a limit.
        """
        account = self.book.accounts.get(order.account)
        reasons: list[Reason] = []
        if account is not None and (account.frozen or account.alerts):
            reasons += self.standing(account)
        if self.rules.refuse_accounts or self.rules.refuse_symbols or self.rules.allow_symbols:
            self._lists(order, reasons)
        if self.rules.only_known_symbols and order.symbol not in self.rules.symbols:
            reasons.append(Reason(Code.SYMBOL, "limit/symbols"))
        if (again := self._again(order, account)) is not None:
            if not (reasons or again or dry_run):
                self.book.renew(order, now_ms)
            return tuple(reasons) + again
        if limits is None:
            limits = self.limits(order)
        market = self.book.markets.get(order.symbol) or self.book.unheard(order.symbol)
        self._order(order, limits, market, reasons)
        self._account(order, account, limits, now_ms, reasons)
        self._exposure(order, account, limits, market, reasons)
        if reasons:
            return tuple(reasons)
        if not dry_run:
            self.book.reserve(order, now_ms)
            if limits.orders_per_window is not None:
                self.book.accounts[order.account].accepted_ms.append(now_ms)
        return ACCEPTED

    def _again(self, order: NewOrder, account: Account | None) -> tuple[Reason, ...] | None:
        """What to say of an order whose id is known; None: it is not."""
        known = account.orders.get(order.id) if account is not None else None
        if known is None:
            over = self.book.is_over(order.account, order.id)
            return (Reason(Code.ORDER_ID, "limit/order_id"),) if over else None
        same = (known.symbol, known.side, known.size, known.price) == (order.symbol, order.side, order.qty, order.price)
        return ACCEPTED if same else (Reason(Code.ORDER_ID, "limit/order_id"),)

    def _lists(self, order: NewOrder, reasons: list[Reason]) -> None:
        rules, lookups = self.rules, self._lookups
        for names, entry in ((rules.refuse_accounts, order.account), (rules.refuse_symbols, order.symbol)):
            for name in names:
                members = lookups.members(name)
                if members is None or entry in members:  # a list that is not there must not let everybody through
                    reasons.append(_listed(name, lookups))
        if rules.allow_symbols and order.symbol not in (lookups.members(rules.allow_symbols) or ()):
            reasons.append(_listed(rules.allow_symbols, lookups))

    @staticmethod
    def _order(order: NewOrder, limits: Limits, market: Market, reasons: list[Reason]) -> None:
        """The limits of one order by itself."""
        if limits.order_qty is not None and order.qty > limits.order_qty:
            reasons.append(_beyond(Code.ORDER_QTY, "order_qty", limits.order_qty, order.qty, DIGITS))
        last = market.price if market.rank > 0 else None
        if limits.order_value is not None:
            price = max(last or 0, order.price or 0)
            if not price or market.rate is None:
                reasons.append(Reason(Code.NO_PRICE, "limit/order_value"))
            elif (value := order.qty * price * market.rate) > limits.order_value:
                reasons.append(_beyond(Code.ORDER_VALUE, "order_value", limits.order_value, value, VALUE_DIGITS))
        if limits.price_band is not None and order.price is not None:
            if not last:
                reasons.append(Reason(Code.NO_PRICE, "limit/price_band"))
            elif (away := abs(order.price - last) * ONE) > limits.price_band * last:
                # Rounded up, so that what is shown is beyond the limit too.
                reasons.append(
                    _beyond(Code.PRICE_BAND, "price_band", limits.price_band, -(-away // last), DIGITS),
                )

    def _account(
        self, order: NewOrder, account: Account | None, limits: Limits, now_ms: int, reasons: list[Reason]
    ) -> None:
        """The limits of the account that are no matter of value."""
        if account is None:
            return _nothing_allowed(limits, reasons)
        if limits.open_orders is not None and account.open >= limits.open_orders:
            reasons.append(_beyond(Code.OPEN_ORDERS, "open_orders", limits.open_orders, account.open + 1, 0))
        if limits.orders_per_window is not None:
            accepted, since_ms = account.accepted_ms, now_ms - self.rules.window_ms
            while accepted and accepted[0] <= since_ms:
                accepted.popleft()
            if len(accepted) >= limits.orders_per_window:
                reasons.append(_beyond(Code.RATE, "orders_per_window", limits.orders_per_window, len(accepted) + 1, 0))
        if limits.margin and account.margin is not None and account.margin[2]:
            holding = account.holdings.get(order.symbol, _NOTHING)
            if _worst_with(holding, order) > holding.worst:
                reasons.append(Reason(Code.MARGIN, "limit/margin"))
        return None

    def _exposure(
        self, order: NewOrder, account: Account | None, limits: Limits, market: Market, reasons: list[Reason]
    ) -> None:
        if limits.symbol_exposure is None and limits.account_exposure is None and limits.total_exposure is None:
            return
        holding = account.holdings.get(order.symbol, _NOTHING) if account is not None else _NOTHING
        worst = _worst_with(holding, order)
        if (added := worst - holding.worst) <= 0:
            return
        # Where nothing was traded yet, limit prices count: those of orders heard of, and the order's own.
        price = market.price if market.rank > 0 else order.price and max(market.price or 0, order.price)
        if not price or market.rate is None:
            reasons.append(Reason(Code.NO_PRICE, "limit/exposure"))
            return
        unit = price * market.rate
        if limits.symbol_exposure is not None and worst * unit > limits.symbol_exposure:
            reasons.append(
                _beyond(Code.SYMBOL_EXPOSURE, "symbol_exposure", limits.symbol_exposure, worst * unit, VALUE_DIGITS)
            )
        if limits.account_exposure is not None:
            value = self.exposure(account) if account is not None else 0
            if value is None:
                reasons.append(Reason(Code.NO_PRICE, "limit/account_exposure"))
            elif (value := value + added * unit) > limits.account_exposure:
                reasons.append(
                    _beyond(Code.ACCOUNT_EXPOSURE, "account_exposure", limits.account_exposure, value, VALUE_DIGITS)
                )
        if limits.total_exposure is not None:
            value = (market.total + added) * unit
            if value > limits.total_exposure:
                reasons.append(
                    _beyond(Code.TOTAL_EXPOSURE, "total_exposure", limits.total_exposure, value, VALUE_DIGITS)
                )

    def standing(self, account: Account) -> list[Reason]:
        """What rules have brought upon the account: one reason for each rule, with the ids of its alerts."""
        found: list[Reason] = []
        for code, alerts in ((Code.FROZEN, account.frozen), (Code.ALERT, account.alerts)):
            by_rule: dict[str, list[str]] = {}
            for alert_id, rule in alerts.items():
                by_rule.setdefault(rule, []).append(alert_id)
            found += [Reason(code, rule, alerts=tuple(ids)) for rule, ids in by_rule.items()]
        return found

    def exposure(self, account: Account) -> int | None:
        """Value of the largest positions that can come of an account, in all symbols; None: a price or a rate is missing."""
        total = 0
        markets = self.book.markets
        for symbol, holding in account.holdings.items():
            market = markets[symbol]
            if not market.price or market.rate is None:
                return None
            total += holding.worst * market.price * market.rate
        return total


def _worst_with(holding: Holding, order: NewOrder) -> int:
    if order.side is Side.BUY:
        return max(holding.position + holding.buys + order.qty, holding.sells - holding.position)
    return max(holding.position + holding.buys, holding.sells + order.qty - holding.position)


def _nothing_allowed(limits: Limits, reasons: list[Reason]) -> None:
    """Of an account of which nothing is known: only limits of zero stand against its first order."""
    for code, name, most in (
        (Code.OPEN_ORDERS, "open_orders", limits.open_orders),
        (Code.RATE, "orders_per_window", limits.orders_per_window),
    ):
        if most == 0:
            reasons.append(_beyond(code, name, 0, 1, 0))


def _listed(name: str, lookups: Lookups) -> Reason:
    return Reason(Code.LIST, f"list/{name}", version=lookups.versions().get(f"list {name}", ""))


def _beyond(code: Code, name: str, limit: int, value: int, digits: int) -> Reason:  # a number against a limit
    return Reason(code, f"limit/{name}", limit=text(limit, digits), value=text(value, digits))
