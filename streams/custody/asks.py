"""What people ask of the coordinator beside releases, and what it says of vaults and ceremonies: letters about ``desk``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

import msgspec

from m1cep.custody.request import Kind, Name, check_request
from m1cep.errors import CustodyError
from m1cep.ledger.liabilities.verify_balance import SAFE
from streams.custody.derive import chain_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.chains.interface import Chain
    from m1cep.custody.request import Request
    from streams.custody.roster import Vault

_Owner = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{40}\Z")]
_Signature = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{130}\Z")]
_Text = Annotated[str, msgspec.Meta(max_length=1_000)]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=True):
    pass


class AskCeremony(_Body, frozen=True):
    """Begin a ceremony.

    Attributes:
        id: given by whoever asks; said twice it counts once.
        kind: keygen, refresh, reshare or repair.
        signer: of a repair: whose share is lost.
        helpers: of a repair: who helps; default: the first who can.
    """

    id: Name
    kind: Annotated[str, msgspec.Meta(pattern="^(keygen|refresh|reshare|repair)$")]
    vault: Name
    signer: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    helpers: tuple[Annotated[int, msgspec.Meta(ge=1, le=255)], ...] = ()


class AskFunds(_Body, frozen=True):
    """Pay into a vault from the faucet of a local chain.

    Attributes:
        amount: such as 0.5.
    """

    id: Name
    vault: Name
    amount: Name


class CeremonyStands(_Body, frozen=True):
    """Where a ceremony stands.

    Attributes:
        id: of who asked.
        state: going, done or failed.
        reason: in words.
    """

    id: Name
    kind: Name
    vault: Name
    state: Name
    reason: _Text


class VaultStands(_Body, frozen=True):
    """A vault with a key.

    Attributes:
        key: the group's public key, hexadecimal.
        free: minor units that are confirmed, and not locked; text.
        height: of the block of the chain (Solana: the slot) at which they were found; 0: not known.
    """

    vault: Name
    account: Name
    chain: Name
    asset: Name
    address: Name
    key: Name
    epoch: int
    threshold: int
    signers: tuple[int, ...]
    free: Name
    height: int = 0


class AuditStands(_Body, frozen=True):
    """The signers' key for heads of the audit log.

    Attributes:
        key: public, hexadecimal: for the roster's ``[audit]``.
    """

    key: Name
    epoch: int
    threshold: int
    signers: tuple[int, ...]


class _OfReserve(_Body, frozen=True):
    """Which vault stands for a statement."""

    id: Name
    vault: Name
    chain: Name
    asset: Name
    address: Name


class ReserveStands(_OfReserve, frozen=True):
    """A vault's key has signed for a statement of what is owed (``streams.custody.reserving``).

    Attributes:
        id: of who asked.
        scheme, key, signature: as in reserves.json; hexadecimal.
        statement: its digest.
    """

    scheme: Name
    key: Name
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}([0-9a-f]{2})?\Z")]
    statement: Name
    epoch_ms: int


class SafeStands(_OfReserve, frozen=True):
    """A Safe's owners have signed for a statement of what is owed (``streams.custody.reserving``).

    Attributes:
        id: of who asked.
        threshold: how many of them release, and have signed.
        owners: all their addresses, ascending.
        signatures: in the order of the addresses of those who made them: r, s, v, hexadecimal.
        statement: its digest.
    """

    threshold: Annotated[int, msgspec.Meta(ge=1, le=50)]
    owners: Annotated[tuple[_Owner, ...], msgspec.Meta(max_length=50)]
    signatures: Annotated[tuple[_Signature, ...], msgspec.Meta(max_length=50)]
    statement: Name
    epoch_ms: int

    #: As in reserves.json, as those of :class:`ReserveStands` are.
    scheme: ClassVar[str] = SAFE

    @property
    def key(self) -> str:
        """Threshold and owners, hexadecimal."""
        return f"{self.threshold:02x}" + "".join(owner[2:] for owner in self.owners)

    @property
    def signature(self) -> str:
        """One signature after the other, hexadecimal."""
        return "".join(self.signatures)


class Answered(_Body, frozen=True):
    """What was asked for is done, or why not."""

    id: Name
    done: bool
    reason: _Text


Ask: TypeAlias = AskCeremony | AskFunds
Said: TypeAlias = CeremonyStands | VaultStands | AuditStands | ReserveStands | SafeStands | Answered

#: That a vault stands for a statement.
Stands: TypeAlias = ReserveStands | SafeStands

_asks: msgspec.json.Decoder[Ask] = msgspec.json.Decoder(Ask)
_said: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)


def encode(body: Ask | Said) -> str:
    """The body of a letter."""
    return msgspec.json.encode(body, order="sorted").decode()


def parse_ask(text: str) -> Ask:
    """Raises CustodyError when it is none."""
    found: Ask = _parse(_asks, text)
    return found


def parse_said(text: str) -> Said:
    """Raises CustodyError when it is none."""
    found: Said = _parse(_said, text)
    return found


def _parse(decoder: msgspec.json.Decoder[Any], text: str) -> Any:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CustodyError(f"expected a message about vaults or ceremonies: {error}") from None


def check_release(vaults: Mapping[str, Vault], request: Request) -> None:
    """Whether a request can be meant: its vaults are there, and chain, asset, account, destination and amounts fit them.

    Commands ask before they send, the coordinator when it hears; every signer derives the transaction for itself.

    Raises:
        CustodyError: says what was expected.
    """
    check_request(request)
    chain = _check_side(vaults, request.vault, request.chain, request.asset)
    account = vaults[request.vault].account
    if request.account != account:
        raise CustodyError(f"vault {request.vault} is account {account}'s, the request is for {request.account}")
    chain.asset.check(request.units)
    canonical = chain.destination(request.destination)
    if canonical != request.destination:
        raise CustodyError(f"write the destination as {canonical}: whitelists compare it letter by letter")
    if request.lock is not None:
        lock = request.lock
        other = _check_side(vaults, lock.vault, lock.chain, lock.asset)
        other.asset.check(int(lock.amount))
        if lock.payee and other.destination(lock.payee) != lock.payee:
            raise CustodyError(
                f"write the payee as {other.destination(lock.payee)}: whitelists compare it letter by letter"
            )
        if lock.vault == request.vault:
            raise CustodyError(f"a {Kind.CROSS_CHAIN} has its lock in another vault than {request.vault}")


def _check_side(vaults: Mapping[str, Vault], name: str, chain_name: str, asset: str) -> Chain[Any]:
    vault = vaults.get(name)
    if vault is None:
        raise CustodyError(f"there is no vault {name}; there are {', '.join(sorted(vaults)) or 'none'}")
    if chain_name != vault.chain:
        raise CustodyError(f"vault {name} is on {vault.chain}, asked for was {chain_name}")
    chain = chain_of(vault.chain)
    if asset != chain.asset.symbol:
        raise CustodyError(f"vault {name} has {chain.asset.symbol}, asked for was {asset}")
    return chain
