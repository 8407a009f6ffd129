"""What tests of the pre-trade check share: limits, orders, and the slow, obvious reference."""

import json
from decimal import Decimal, getcontext

from m1cep import FixedLookups
from m1cep.pretrade import Book, Checker, Limits, Rules, Side, limit, new_order

getcontext().prec = 200  # the reference counts with Decimals: none of its sums may be rounded


def limits(**given):
    return Limits(**{name: limit(name, value) for name, value in given.items()})


def world(lookups=None, remembered=100_000, **rules):
    """A book and a checker."""
    default = rules.pop("default", {})
    accounts = {name: limits(**given) for name, given in rules.pop("accounts", {}).items()}
    symbols = {name: limits(**given) for name, given in rules.pop("symbols", {}).items()}
    found = Rules("v1", default=limits(**default), accounts=accounts, symbols=symbols, **rules)
    book = Book(found, remembered)
    return book, Checker(found, book, lookups or FixedLookups())


def buy(account, order_id, qty, price=None, symbol="BTC-USD"):
    return new_order(account, order_id, symbol, Side.BUY, str(qty), None if price is None else str(price))


def sell(account, order_id, qty, price=None, symbol="BTC-USD"):
    return new_order(account, order_id, symbol, Side.SELL, str(qty), None if price is None else str(price))


def raw(**fields):
    """A record: Decimals as the JSON numbers that they are."""
    pairs = (f"{json.dumps(k)}:{v if isinstance(v, Decimal) else json.dumps(v)}" for k, v in fields.items())
    return ("{" + ",".join(pairs) + "}").encode()


class Reference:
    """The check as one would explain it: keep every event, and count everything anew for each question."""

    def __init__(self):
        self.new, self.cancels, self.fills, self.reserved = {}, {}, {}, {}

    def announced(self, account, order_id, symbol, side, qty):
        self.new.setdefault((account, order_id), (symbol, side, qty))
        self.reserved.pop((account, order_id), None)

    def accept(self, account, order_id, symbol, side, qty):
        if (account, order_id) not in self.new:
            self.reserved[account, order_id] = (symbol, side, qty)

    def cancelled(self, account, order_id, left):
        self.cancels.setdefault((account, order_id), left)

    def filled(self, account, order_id, trade_id, symbol, side, qty):
        self.fills.setdefault((account, order_id, trade_id), (symbol, side, qty))

    def parts(self, account, symbol):
        """Position, open buys, open sells."""
        position = Decimal(0)
        for (of, _, _), (its, side, qty) in self.fills.items():
            if (of, its) == (account, symbol):
                position += qty if side == "buy" else -qty
        opened = [(side, left) for of, its, side, left in self.open() if (of, its) == (account, symbol)]
        buys, sells = (sum((left for its, left in opened if its == side), Decimal(0)) for side in ("buy", "sell"))
        return position, buys, sells

    def open(self):
        """Account, symbol, side of every order, and what of it is open."""
        for (account, order_id), (symbol, side, qty) in (self.new | self.reserved).items():
            filled = sum(q for (a, o, _), (_, _, q) in self.fills.items() if (a, o) == (account, order_id))
            yield account, symbol, side, max(Decimal(0), qty - filled - self.cancels.get((account, order_id), 0))

    def open_orders(self, account):
        return sum(of == account and left > 0 for of, _, _, left in self.open())

    def worst(self, account, symbol, side=None, qty=Decimal(0)):
        """The largest position, long or short; with one more order."""
        position, buys, sells = self.parts(account, symbol)
        buys += qty if side == "buy" else 0
        sells += qty if side == "sell" else 0
        return max(position + buys, sells - position)
