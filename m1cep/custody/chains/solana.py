"""Solana behind the chain interface: system transfers that name a durable nonce.

An ordinary transaction is void after about a minute; an approval may take many. So the first instruction advances the vault's
nonce account and the recent blockhash is the nonce's value: the transaction waits as long as it must and can happen once.
The vault pays its own fee and is the only signer. What is signed is the whole message, not a digest (Ed25519).

An address says nothing of its network (mainnet, devnet); the nonce's value does: a cluster refuses another's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec
from solders import sysvar
from solders.hash import Hash
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    ID as SYSTEM_PROGRAM,
)
from solders.system_program import (
    AdvanceNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    transfer,
)
from solders.transaction import Transaction

from m1cep.custody.chains.amounts import Asset
from m1cep.custody.chains.errors import DestinationRefusedError, SignatureRefusedError, TransferRefusedError
from m1cep.custody.chains.interface import Scheme, Signed, ToSign, Transfer, Unsigned, check_chain
from m1cep.custody.frost import ED25519
from m1cep.custody.frost.errors import EncodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

SOL = Asset("SOL", "lamport", 9, 2**64 - 1)
_LAMPORTS = msgspec.Meta(ge=0, le=2**63 - 1)
_PROGRAMS = frozenset(  # nobody has the key of these, and a transfer to them is a mistake
    {SYSTEM_PROGRAM, sysvar.RENT, sysvar.RECENT_BLOCKHASHES, sysvar.CLOCK}
    | {
        Pubkey.from_string(text)
        for text in (
            "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
            "Vote111111111111111111111111111111111111111",
            "Stake11111111111111111111111111111111111111",
            "ComputeBudget111111111111111111111111111111",
        )
    }
)


class SolanaState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The vault's nonce account and its value now; lamports of the vault, of one signature, and that an account must keep."""

    nonce_account: str
    nonce: str
    balance: Annotated[int, _LAMPORTS]
    fee: Annotated[int, _LAMPORTS]
    rent_minimum: Annotated[int, _LAMPORTS]


@dataclass(frozen=True, slots=True)
class SolanaChain:
    """A Solana cluster.

    Attributes:
        cluster: its name.
        most_fee: of a transaction, in lamports: the signer's own limit.
    """

    cluster: str = "local"
    most_fee: int = 50_000
    name: str = field(init=False)

    asset: ClassVar[Asset] = SOL
    scheme: ClassVar[Scheme] = Scheme.ED25519
    state_type: ClassVar[type[SolanaState]] = SolanaState

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"solana:{self.cluster}")

    def address(self, vault_key: bytes) -> str:
        """The key itself, in Base58."""
        return str(self.vault(vault_key))

    def vault(self, vault_key: bytes) -> Pubkey:
        """The vault's account.

        Raises:
            TransferRefusedError: no Ed25519 key.
        """
        try:
            return Pubkey(ED25519.deserialize_element(vault_key))
        except EncodingError as error:
            raise TransferRefusedError(f"no key of a Solana vault: {error}") from None

    def destination(self, text: str) -> str:
        """The address in its canonical form: an account for which somebody can have the key."""
        return str(self.destination_account(text))

    def destination_account(self, text: str) -> Pubkey:
        """The account that an address names.

        Raises:
            DestinationRefusedError: no address, one of a program, or one that no key can belong to.
        """
        shown = repr(text if len(text) <= 60 else text[:57] + "...")
        try:
            account = Pubkey.from_string(text)
        except ValueError:
            raise DestinationRefusedError(f"{shown} is no Solana address: expected 32 bytes in Base58") from None
        if account in _PROGRAMS:
            raise DestinationRefusedError(f"{shown} is a program of the system: what it gets is lost")
        try:
            ED25519.deserialize_element(bytes(account))
        except EncodingError:
            raise DestinationRefusedError(f"{shown} is a program's, no key signs for it: give the owner's") from None
        return account

    def build(self, transfer_: Transfer, state: SolanaState) -> Unsigned:
        """Advance the nonce, then pay the amount to the destination."""
        amount = SOL.check(transfer_.amount)
        vault, to = self.vault(transfer_.vault_key), self.destination_account(transfer_.destination)
        if to == vault:
            raise DestinationRefusedError(f"{transfer_.destination} is the vault itself: nothing would move")
        if state.fee > self.most_fee:
            raise TransferRefusedError(f"the fee would be {state.fee} lamports, the limit is {self.most_fee}")
        left = state.balance - amount - state.fee
        if left < 0:
            raise TransferRefusedError(
                f"{amount} lamports and the fee of {state.fee} are needed, the vault has {state.balance}"
            )
        if 0 < left < state.rent_minimum:
            raise TransferRefusedError(
                f"the vault would keep {left} lamports: an account keeps nothing or {state.rent_minimum} and more (rent)"
            )
        try:
            nonce_account, nonce = Pubkey.from_string(state.nonce_account), Hash.from_string(state.nonce)
        except ValueError as error:
            raise TransferRefusedError(f"the facts name no nonce of {self.name}: {error}") from None
        message = Message.new_with_blockhash(
            [
                advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=nonce_account, authorized_pubkey=vault)),
                transfer(TransferParams(from_pubkey=vault, to_pubkey=to, lamports=amount)),
            ],
            vault,
            nonce,
        )
        body = bytes(message)
        return Unsigned(
            chain=self.name,
            body=body,
            to_sign=(ToSign(self.scheme, body, transfer_.vault_key),),
            consumes=frozenset({f"{state.nonce_account}:{state.nonce}"}),
            fee=state.fee,
        )

    def attach(self, unsigned: Unsigned, signatures: Sequence[bytes]) -> Signed:
        """One signature, of the vault."""
        check_chain(self.name, unsigned)
        if len(signatures) != 1:
            raise SignatureRefusedError(f"expected 1 signature, got {len(signatures)}")
        wanted, signature = unsigned.to_sign[0], bytes(signatures[0])
        if not ED25519.verify(wanted.public_key, wanted.message, signature):
            raise SignatureRefusedError("the signature does not verify under the vault's key")
        signed = Transaction.populate(Message.from_bytes(unsigned.body), [Signature.from_bytes(signature)])
        return Signed(self.name, bytes(signed), str(Signature.from_bytes(signature)))
