"""What custody tells the books of accounts: what came into a vault, what is to leave it, what left it. Signed by ``chains``.

On m1cep.custody.releases.v1, in letters about ``books``. Each has a name of its own, so that said twice it counts once.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from m1cep.custody.request import Amount, Millis, Name  # noqa: TC001 - msgspec reads the annotations
from m1cep.errors import CustodyError

ABOUT = "books"
_Reference: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=250)]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    pass


class Deposited(_Body, frozen=True):
    """It counts: it has its confirmations.

    Attributes:
        reference: of the deposit, unique on its chain.
        amount: minor units.
        time_ms: when it was seen to count (epoch).
    """

    vault: Name
    account: Name
    chain: Name
    asset: Name
    amount: Amount
    reference: _Reference
    time_ms: Millis


class Reserved(_Body, frozen=True):
    """A release is asked for, and signers are asked about it.

    Attributes:
        amount: minor units.
        time_ms: when it was asked for.
    """

    request_id: Name
    vault: Name
    account: Name
    chain: Name
    asset: Name
    amount: Amount
    time_ms: Millis


class Freed(_Body, frozen=True):
    """A release will not be paid: refused, expired, taken back, or impossible by now."""

    request_id: Name
    vault: Name
    account: Name
    time_ms: Millis


class PaidOut(_Body, frozen=True):
    """A release is on its chain for good.

    Attributes:
        amount, fee: minor units; the fee is what the vault paid beside the amount.
        reference: of the transaction.
    """

    request_id: Name
    vault: Name
    account: Name
    chain: Name
    asset: Name
    amount: Amount
    fee: Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,77})\Z")]
    reference: _Reference
    time_ms: Millis


Booking: TypeAlias = Deposited | Reserved | Freed | PaidOut

_decoder: msgspec.json.Decoder[Booking] = msgspec.json.Decoder(Booking)


def encode(booking: Booking) -> str:
    """The body of a letter."""
    return msgspec.json.encode(booking, order="sorted").decode()


def parse_booking(text: str) -> Booking:
    """Raises CustodyError when it is none."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise CustodyError(f"expected a booking: {error}") from None
