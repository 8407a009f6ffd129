"""What custody tells the books, as postings.

    Deposited      post      vault -> client                                    (debit -> credit: see ``postings``)
    Reserved       hold      client -> vault
    PaidOut        settle    client -> vault, and the fee that the vault paid
    Freed          release

A client's claim and the vault that it is on are accounts of their own, in the asset ``chain/SYMBOL``: what is in a vault by these
books is what is on its chain. Letters are believed when a source of facts of the roster has signed them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.errors import CustodyError, LedgerError
from m1cep.ledger import AccountKey, How, Kind, Leg, Posting
from streams.custody import bookings
from streams.custody.mail import open_letter, outside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.ledger import Chart
    from streams.custody.roster import Roster


def custody_postings(value: bytes | None, chart: Chart, roster: Roster) -> Sequence[Posting]:
    """The posting of a letter; none of one that is not about the books.

    Raises:
        LedgerError: it is about the books and not signed by a source of facts, or cannot be posted.
    """
    sender, about = outside(value) or ("", "")
    if about != bookings.ABOUT:
        return ()
    if sender not in roster.facts:
        raise LedgerError("bad_letter", f"{sender!r:.60} is no source of facts; the roster's [facts] are")
    try:
        booking = bookings.parse_booking(open_letter(value, roster.keys).body)
    except CustodyError as error:
        raise LedgerError("bad_letter", str(error)) from error
    match booking:
        case bookings.Deposited():
            return (_deposited(booking, chart),)
        case bookings.Reserved():
            leg = Leg(*_sides(booking, chart), int(booking.amount))
            hold = _hold(booking.request_id)
            return (Posting(hold, "release_asked", booking.account, booking.time_ms, (leg,), How.HOLD),)
        case bookings.Freed():
            name, hold = f"freed/{booking.request_id}/{booking.time_ms}", _hold(booking.request_id)
            return (Posting(name, "release_freed", booking.account, booking.time_ms, (), How.RELEASE, hold),)
        case bookings.PaidOut():
            return (_paid_out(booking, chart),)


def _deposited(one: bookings.Deposited, chart: Chart) -> Posting:
    client, vault = _sides(one, chart)
    name = f"deposit/{one.vault}/{one.reference}"
    return Posting(name, "vault_deposit", one.account, one.time_ms, (Leg(vault, client, int(one.amount)),))


def _paid_out(one: bookings.PaidOut, chart: Chart) -> Posting:
    client, vault = _sides(one, chart)
    fee = (Leg(client, vault, int(one.fee)),) if int(one.fee) else ()
    legs = (Leg(client, vault, int(one.amount)), *fee)
    return Posting(
        f"paid/{one.request_id}", "release", one.account, one.time_ms, legs, How.SETTLE, _hold(one.request_id)
    )


def _hold(request_id: str) -> str:
    return f"release/{request_id}"


def _sides(
    one: bookings.Deposited | bookings.Reserved | bookings.PaidOut, chart: Chart
) -> tuple[AccountKey, AccountKey]:
    asset = f"{one.chain}/{one.asset}"
    return chart.account(Kind.CLIENT, one.account, asset), chart.account(Kind.VAULT, one.vault, asset)
