"""What every chain offers, and what passes between signer, coordinator and chain.

    request ─┐
             ├─▶ Chain.build ─▶ Unsigned ─▶ to_sign ─▶ signers ─▶ Chain.attach ─▶ Signed ─▶ Node.broadcast
    facts  ──┘

``Chain`` is pure and deterministic: whoever has the approved transfer and the facts gets the same bytes, so that a signer
derives what it signs and is handed nothing. ``Node`` is the chain's software, or a way to it; it is believed by nobody who signs.

Facts (a chain's state: coins, nonces, fees) come from whoever coordinates and may be lies. What a lie can do is bounded here: the
amount and the destination come from the request alone, the fee has a limit that each signer sets, and ``consumes`` says what
can be spent only once. Two transactions for one request are safe to sign only if their ``consumes`` have something in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from m1cep.custody.chains.errors import TransferRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.chains.amounts import Asset


class Scheme(StrEnum):
    """Which kind of signature a chain verifies."""

    BIP340 = "bip340"  # FROST taproot suite: 64 bytes, x(R) and z
    ED25519 = "ed25519"  # FROST(Ed25519, SHA-512): 64 bytes, R and z
    SECP256K1 = "secp256k1"  # FROST(secp256k1, SHA-256) of RFC 9591: 65 bytes, compressed R and z
    ECDSA = "ecdsa"  # owners of a Safe, each with a key of its own: 65 bytes, r, s and v


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was approved, and all of it that matters on a chain.

    Attributes:
        vault_key: what the vault's address follows from: the group's public key (of a Safe: its threshold and owners).
        destination: address as text.
        amount: in minor units.
        deadline_s: Unix seconds after which it must not happen any more, where the chain can enforce it (EVM); 0: none.
    """

    vault_key: bytes
    destination: str
    amount: int
    deadline_s: int = 0


@dataclass(frozen=True, slots=True)
class ToSign:
    """One signature that a transaction needs.

    Attributes:
        scheme: of the signature.
        message: the bytes to sign: a digest, or for Ed25519 the whole message.
        public_key: under which it must verify: Ed25519, compressed, or of taproot the output key's x (BIP340: sign with
            ``frost.taproot.tweak_share`` of the share); empty where several owners sign.
    """

    scheme: Scheme
    message: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A transaction without its signatures.

    Attributes:
        chain: name of the chain and network it is for.
        body: the transaction, as the chain writes it.
        to_sign: what must be signed, in order; Bitcoin needs one a coin spent.
        consumes: names of what can be spent only once (coins, nonces): of two transactions that share one, one happens.
        fee: most that the vault pays beside the amount, in minor units.
    """

    chain: str
    body: bytes
    to_sign: tuple[ToSign, ...]
    consumes: frozenset[str]
    fee: int

    def excludes(self, other: Unsigned) -> bool:
        """Whether at most one of the two can ever happen."""
        return self.chain == other.chain and not self.consumes.isdisjoint(other.consumes)


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction that can be sent.

    Attributes:
        chain: name of the chain and network it is for.
        payload: what is broadcast.
        reference: under which its confirmations are asked for; the same whoever broadcasts it.
    """

    chain: str
    payload: bytes
    reference: str


@dataclass(frozen=True, slots=True)
class Deposit:
    """What came into a vault.

    Attributes:
        reference: unique on its chain and stable: credit once by it.
        amount: in minor units.
        confirmations: 1 when it is in the latest block.
        height: of its block (Solana: slot); of those that come into the chain later none is lower, but for a reorganisation.
    """

    reference: str
    amount: int
    confirmations: int
    height: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a transfer would do, by the chain's own view of now, in minor units."""

    vault_before: int
    vault_after: int
    destination_gains: int


StateT = TypeVar("StateT")


class Chain(Protocol[StateT]):
    """One chain and network, pure: same arguments, same bytes."""

    @property
    def name(self) -> str:
        """Chain and network, such as bitcoin:regtest; see ``named.chain_named``."""

    @property
    def asset(self) -> Asset:
        """What it moves."""

    @property
    def scheme(self) -> Scheme:
        """What signs for its vaults."""

    @property
    def state_type(self) -> type[StateT]:
        """Of the facts that ``build`` needs."""

    def address(self, vault_key: bytes) -> str:
        """Where the vault receives.

        Raises:
            TransferRefusedError: no key of this chain.
        """

    def destination(self, text: str) -> str:
        """The address in its canonical form.

        Raises:
            DestinationRefusedError: no address, of another network, or one from which nothing can be had back.
        """

    def build(self, transfer: Transfer, state: StateT) -> Unsigned:
        """The transaction that pays exactly the amount to the destination.

        Raises:
            AmountRefusedError, DestinationRefusedError, TransferRefusedError: what cannot be built, and why.
        """

    def attach(self, unsigned: Unsigned, signatures: Sequence[bytes]) -> Signed:
        """The transaction with its signatures, each verified first.

        Raises:
            SignatureRefusedError: which one does not verify.
            TransferRefusedError: the transaction is for another chain.
        """


class Node(Protocol[StateT]):
    """The chain's software, or a way to it. What it refuses raises ChainRefusedError with its own words."""

    @property
    def chain(self) -> Chain[StateT]:
        """The rules that signers build by."""

    def state(self, vault_key: bytes) -> StateT:
        """The facts that ``Chain.build`` needs now."""

    @property
    def height(self) -> int:
        """Of the latest block; on Solana its slot."""

    def balance(self, vault_key: bytes) -> int:
        """What the vault has, in minor units."""

    def simulate(self, transfer: Transfer, unsigned: Unsigned) -> Simulation:
        """What the transaction would do now, before anybody signs."""

    def broadcast(self, signed: Signed) -> None:
        """Send it; again does no harm."""

    def confirmations(self, reference: str) -> int:
        """How deep it is: 1 in the latest block, 0 when it is not in the chain (yet, or not any more)."""

    def deposits(self, vault_key: bytes) -> list[Deposit]:
        """What came in from elsewhere and is in the chain now, oldest first."""


class LocalNode(Node[StateT], Protocol):
    """A chain of one's own, for the demo and for tests: money from nowhere, blocks on request."""

    def open_vault(self, vault_key: bytes) -> None:
        """Whatever must be on the chain before the vault can pay; again does no harm."""

    def fund(self, address: str, amount: int) -> str:
        """Pay from the chain's faucet; ``advance`` puts it into a block. Returns a reference."""

    def advance(self, blocks: int = 1) -> None:
        """Let blocks (slots) pass, with what waits in the first of them."""

    def close(self) -> None:
        """End it and forget everything."""


def check_chain(expected: str, given: Unsigned | Signed) -> None:
    """Raises TransferRefusedError when a transaction is for another chain or network."""
    if given.chain != expected:
        raise TransferRefusedError(f"this transaction is for {given.chain}, not for {expected}")


def state_to_json(state: object) -> bytes:
    """Facts as bytes for a message."""
    return msgspec.json.encode(state)


def state_from_json(chain: Chain[StateT], raw: bytes) -> StateT:
    """Facts from a message of whoever coordinates.

    Raises:
        TransferRefusedError: not the facts of this chain.
    """
    try:
        return msgspec.json.decode(raw, type=chain.state_type)
    except (msgspec.MsgspecError, ValueError) as error:
        raise TransferRefusedError(f"these are no facts of {chain.name}: {error}") from None
