"""What the coordinator tells the books of accounts: what came into a vault, what is to leave it, what left it, what was undone.

On m1cep.custody.releases.v1, in letters about ``books``, signed by the source of facts ``chains``. Each has an id, so that said
twice it counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from m1cep.custody.policy.events import Spent
from m1cep.custody.request import Amount, Millis, Name  # noqa: TC001 - msgspec reads the annotations
from m1cep.errors import CustodyError
from streams.custody.derive import chain_of
from streams.custody.mail import RELEASES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep.custody.policy.events import Spending
    from m1cep.custody.request import Request
    from streams import codec
    from streams.custody.mail import Pen
    from streams.custody.roster import Vault

ABOUT = "books"
#: Bookings that are remembered at least, to know what was said; releases that may be undone are, however many there are.
REMEMBERED = 1_000
_Id: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    id: _Id
    vault: Name
    account: Name
    time_ms: Millis


class _Amount(_Body, frozen=True):
    """Of an asset, in its chain's minor units."""

    chain: Name
    asset: Name
    amount: Amount


class Deposited(_Amount, frozen=True):
    """It came into the vault and has its confirmations."""


class DepositUndone(_Amount, frozen=True):
    """What had come in is not on the chain any more."""


class Reserved(_Amount, frozen=True):
    """A release is asked for, and signers are asked about it."""

    request_id: Name


class Freed(_Body, frozen=True):
    """A release will not be paid: refused, expired, taken back, or impossible by now."""

    request_id: Name


class PaidOut(_Amount, frozen=True):
    """A release is on its chain; ``fee`` is what the vault paid beside the amount."""

    request_id: Name
    fee: Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,77})\Z")]


class PaidBack(PaidOut, frozen=True):
    """A release that was on its chain is not, and cannot come there any more."""


Booking: TypeAlias = Deposited | DepositUndone | Reserved | Freed | PaidOut | PaidBack

_decoder: msgspec.json.Decoder[Booking] = msgspec.json.Decoder(Booking)


def parse_booking(text: str) -> Booking:
    """The body of a letter.

    Raises:
        CustodyError: it is none.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise CustodyError(f"expected a booking: {error}") from None


def write(pen: Pen, booking: Booking) -> codec.Message:
    """The letter."""
    return pen.write(RELEASES, booking.vault, ABOUT, msgspec.json.encode(booking, order="sorted").decode())


class Bookings:
    """What was told lately.

    Args:
        vaults: those of the roster.
        pen: of the source of facts ``chains``.
    """

    def __init__(self, vaults: Mapping[str, Vault], pen: Pen) -> None:
        self._vaults, self._pen = vaults, pen
        self._newest: dict[str, Booking] = {}
        self._most = REMEMBERED

    def deposit(
        self, vault: str, reference: str, units: int, now_ms: int, *, undone: bool = False
    ) -> list[codec.Message]:
        """What came in, or is undone; ``reference`` is its name on the chain."""
        chain = chain_of(self._vaults[vault].chain)
        account, kind = self._vaults[vault].account, DepositUndone if undone else Deposited
        # With the time: undone and in another block again, it is another one.
        name = f"{vault}/{reference}/{now_ms}"
        return self._tell(kind(name, vault, account, now_ms, chain.name, chain.asset.symbol, str(units)))

    def reserve(self, request: Request) -> list[codec.Message]:
        """Signers are asked about a request; nothing where that was said."""
        about = (request.vault, request.account, request.requested_ms, request.chain, request.asset, request.amount)
        return self._tell(Reserved(f"reserved/{request.id}", *about, request.id))

    def free(self, request: Request, now_ms: int) -> list[codec.Message]:
        """A request has ended and will not be paid."""
        return self._tell(Freed(f"freed/{request.id}", request.vault, request.account, now_ms, request.id))

    def spending(self, one: Spending, fee: int) -> list[codec.Message]:
        """What became of an amount that was to leave a vault."""
        about = (one.vault, one.account, one.time_ms, one.chain, one.asset, one.amount, one.request_id)
        paid = f"paid/{one.request_id}"
        if one.spent is Spent.RELEASED:
            return self._tell(PaidOut(paid, *about, str(fee)))
        known = self._newest.get(paid)
        if isinstance(known, PaidOut):
            return self._tell(PaidBack(f"back/{one.request_id}", *about, known.fee))
        return self._tell(Freed(f"freed/{one.request_id}", one.vault, one.account, one.time_ms, one.request_id))

    def _tell(self, booking: Booking) -> list[codec.Message]:
        """Once, by its id: a release that a reorganisation undid and that was sent again was paid all the same."""
        if booking.id in self._newest:
            return []
        self._newest[booking.id] = booking
        return [write(self._pen, booking)]

    def forget(self, may_be_undone: Callable[[str], bool]) -> None:
        """Let go of the oldest; of a release that a reorganisation may undo it must be known what the vault paid.

        Args:
            may_be_undone: whether a request's release may be.
        """
        if len(self._newest) <= self._most:
            return
        over = len(self._newest) - REMEMBERED
        for name, one in list(self._newest.items())[:over]:
            if not (isinstance(one, PaidOut) and may_be_undone(one.request_id)):
                del self._newest[name]
        self._most = max(REMEMBERED, len(self._newest)) + REMEMBERED // 10

    def snapshot(self) -> Any:
        """Plain values."""
        return msgspec.to_builtins(list(self._newest.values()))

    def load(self, kept: Any) -> None:
        """As it was.

        Raises:
            CustodyError: this is no snapshot of it.
        """
        try:
            self._newest = {one.id: one for one in msgspec.convert(kept, list[Booking])}
        except msgspec.ValidationError as error:
            raise CustodyError(f"expected bookings: {error}") from None
