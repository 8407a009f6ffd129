"""What is asked of the pre-trade check, and what it answers."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from m1cep.errors import PretradeError
from m1cep.pretrade.amounts import units

MAX_NAME = 64  # characters of an account, a symbol, an order's id


class Side(IntEnum):
    """Of an order: the sign of what it adds to a position."""

    BUY = 1
    SELL = -1


class Code(IntEnum):
    """Why an order is rejected. The numbers are those of the protocol and are never used again for anything else."""

    FROZEN = 1  # an action of a rule stands on the account
    ALERT = 2  # a grave alert on the account is open
    LIST = 3  # the account or the symbol is, or is not, on a list
    SYMBOL = 4  # the symbol is not one that the limits know
    ORDER_QTY = 5  # larger than one order may be
    ORDER_VALUE = 6  # worth more than one order may be
    PRICE_BAND = 7  # too far from the last price
    NO_PRICE = 8  # there is no price by which a limit could be checked
    OPEN_ORDERS = 9  # too many orders open
    RATE = 10  # too many orders within the time
    SYMBOL_EXPOSURE = 11  # of the account in the symbol, if all its orders were filled
    ACCOUNT_EXPOSURE = 12  # of the account in all symbols
    TOTAL_EXPOSURE = 13  # of all accounts in the symbol
    MARGIN = 14  # the account is worth less than its positions require
    ORDER_ID = 15  # the id is another order's


class NewOrder(msgspec.Struct, frozen=True, gc=False):
    """An order that is to be placed. Amounts are units (see ``amounts``).

    Attributes:
        id: of the account's orders no two have the same.
        price: limit; None for a market order.
    """

    account: str
    id: str
    symbol: str
    side: Side
    qty: int
    price: int | None = None


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One reason for a rejection.

    Attributes:
        rule: what decided: ``limit/order_value``, ``list/halted-symbols``, or the rule of an alert.
        limit, value: what was allowed and what it would be, as decimal text; empty where it is no matter of amounts.
        alerts: ids of the alerts that are behind it.
        version: of the list that decided.
    """

    code: Code
    rule: str
    limit: str = ""
    value: str = ""
    alerts: tuple[str, ...] = ()
    version: str = ""


#: No reason to reject: most decisions are this one.
ACCEPTED: tuple[Reason, ...] = ()


def new_order(account: str, order_id: str, symbol: str, side: Side, qty: str, price: str | None = None) -> NewOrder:
    """An order from text.

    Raises:
        PretradeError: a name is missing, too long or cannot be printed; an amount is none.
    """
    for what, name in (("account", account), ("order_id", order_id), ("symbol", symbol)):
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise PretradeError(
                f"expected {what} to have 1 to {MAX_NAME} printable characters, got {name[:MAX_NAME]!r}"
            )
    return NewOrder(account, order_id, symbol, side, units(qty), None if price is None else units(price))
