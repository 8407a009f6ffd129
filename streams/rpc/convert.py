"""Messages of the protocol to what the core takes, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from m1cep.errors import PretradeError
from m1cep.pretrade import Code, NewOrder, Side
from m1cep.pretrade.amounts import VALUE_DIGITS, text, units
from m1cep.pretrade.orders import MAX_NAME
from streams.rpc.v1 import risk_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.pretrade import Checker, Reason

_SIDES = {risk_pb2.SIDE_BUY: Side.BUY, risk_pb2.SIDE_SELL: Side.SELL}
#: Sizes and prices come again and again: a thousand of them are as good as all.
_units = lru_cache(maxsize=4096)(units)


@lru_cache(maxsize=65536)
def _name(name: str) -> str:
    """A name that was checked; the same object for the same name, which saves memory where it is kept."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise PretradeError(f"expected 1 to {MAX_NAME} printable characters, got {name[:MAX_NAME]!r}")
    return name


def order_of(message: risk_pb2.Order) -> NewOrder:
    """The order that a message is.

    Raises:
        PretradeError: a field is missing or wrong.
    """
    order_id = message.order_id
    if not 0 < len(order_id) <= MAX_NAME or not order_id.isprintable():
        raise PretradeError(f"expected order_id of 1 to {MAX_NAME} printable characters, got {order_id[:MAX_NAME]!r}")
    field = "account"
    try:
        account, field = _name(message.account), "symbol"
        symbol, field = _name(message.symbol), "side"
        side = _SIDES[message.side]
        field = "qty"
        qty, field = _units(message.qty), "price"
        price = _units(message.price) if message.price else None
    except KeyError:
        raise PretradeError(f"order {order_id!r}: expected side SIDE_BUY or SIDE_SELL, got {message.side}") from None
    except PretradeError as error:
        raise PretradeError(f"order {order_id!r}, {field}: {error}") from None
    return NewOrder(account, order_id, symbol, side, qty, price)


def decision_of(order_id: str, reasons: Sequence[Reason]) -> risk_pb2.Decision:
    """The decision as a message."""
    if not reasons:
        return risk_pb2.Decision(order_id=order_id, accepted=True)
    return risk_pb2.Decision(order_id=order_id, reasons=[reason_of(reason) for reason in reasons])


def reason_of(reason: Reason) -> risk_pb2.Reason:
    """A reason as a message."""
    return risk_pb2.Reason(
        code=risk_pb2.ReasonCode.Name(int(reason.code)),
        rule_id=reason.rule,
        limit=reason.limit,
        value=reason.value,
        alert_ids=reason.alerts,
        list_version=reason.version,
    )


def account_state(name: str, checker: Checker) -> risk_pb2.AccountStateResponse:
    """What is known of an account."""
    account = checker.book.accounts.get(name)
    if account is None:
        return risk_pb2.AccountStateResponse(account=name, exposure="0")
    exposure = checker.exposure(account)
    return risk_pb2.AccountStateResponse(
        account=name,
        holdings=[
            risk_pb2.Holding(
                symbol=symbol,
                position=text(holding.position),
                open_buys=text(holding.buys),
                open_sells=text(holding.sells),
                worst=text(holding.worst),
            )
            for symbol, holding in sorted(account.holdings.items())
        ],
        open_orders=account.open,
        exposure="" if exposure is None else text(exposure, VALUE_DIGITS),
        standing=[reason_of(reason) for reason in checker.standing(account)],
        margin_short=account.margin is not None and account.margin[2],
    )


assert {code.value for code in Code} == {
    n for n in risk_pb2.ReasonCode.values() if n
}  # one list of reasons, in two places
