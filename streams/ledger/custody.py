"""What custody tells the books, as postings.

    Deposited       post      vault -> client                                    (debit -> credit: see ``postings``)
    Reserved        hold      client -> vault
    PaidOut         settle    client -> vault, and the fee that the vault paid
    Freed           release
    DepositUndone   post      client -> vault: a reorganisation of the chain has undone it
    PaidBack        post      vault -> client, the same with a release

A client's claim and the vault that it is on are accounts of their own, in the asset ``chain/SYMBOL``: what is in a vault by these
books is what is on its chain. Letters are believed when a source of facts of the roster has signed them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.errors import CustodyError, LedgerError
from m1cep.ledger import How, Kind, Leg, Posting
from streams.custody import bookings
from streams.custody.mail import open_letter, outside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.ledger import Chart
    from streams.custody.roster import Roster

_KINDS = {
    bookings.Deposited: "vault_deposit",
    bookings.DepositUndone: "vault_deposit_undone",
    bookings.Reserved: "release_asked",
    bookings.Freed: "release_freed",
    bookings.PaidOut: "release",
    bookings.PaidBack: "release_undone",
}


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
    return (_posting(booking, chart),)


def _posting(one: bookings.Booking, chart: Chart) -> Posting:
    name, about = f"custody/{_KINDS[type(one)]}/{one.id}", (_KINDS[type(one)], one.account, one.time_ms)
    if isinstance(one, bookings.Freed):
        return Posting(name, *about, (), How.RELEASE, _hold(one.request_id))
    asset = f"{one.chain}/{one.asset}"
    client, vault = chart.account(Kind.CLIENT, one.account, asset), chart.account(Kind.VAULT, one.vault, asset)
    units = [int(one.amount)]
    if isinstance(one, bookings.PaidOut) and int(one.fee):
        units.append(int(one.fee))
    if isinstance(one, bookings.Deposited | bookings.PaidBack):
        return Posting(name, *about, tuple(Leg(vault, client, some) for some in units))
    legs = tuple(Leg(client, vault, some) for some in units)
    if isinstance(one, bookings.Reserved):
        return Posting(_hold(one.request_id), *about, legs, How.HOLD)
    if isinstance(one, bookings.PaidOut):
        return Posting(name, *about, legs, How.SETTLE, _hold(one.request_id))
    return Posting(name, *about, legs)


def _hold(request_id: str) -> str:
    return f"release/{request_id}"
