"""Bitcoin behind the chain interface.

Fees: the facts have a rate in satoshi a virtual byte; the vault pays rate times size, rounded up, and never more than the
signer's own ``most_fee``. The signed digest covers the amounts of all coins: a lie about them only makes a signature useless.
Coins are chosen the same way by everybody: largest first (fewest inputs, fewest signatures), then by outpoint. Change returns to
the vault; change too small to be spent (dust) goes to the fee.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from m1cep.custody.chains.amounts import Asset
from m1cep.custody.chains.bitcoin.encodings import base58check_decode, segwit_decode, segwit_encode
from m1cep.custody.chains.bitcoin.taproot import output_key, verify
from m1cep.custody.chains.bitcoin.transaction import (
    Input,
    Output,
    Transaction,
    double_sha256,
    virtual_size,
    with_witnesses,
)
from m1cep.custody.chains.errors import DestinationRefusedError, SignatureRefusedError, TransferRefusedError
from m1cep.custody.chains.interface import Scheme, Signed, ToSign, Transfer, Unsigned, check_chain

if TYPE_CHECKING:
    from collections.abc import Sequence

BTC = Asset("BTC", "satoshi", 8, 21_000_000 * 10**8)
_DUST_RATE = 3  # satoshi a vbyte: Bitcoin Core's default -dustrelayfee, which says what nodes relay
_MOST_COINS = 50  # of one transaction: each is a signing round of its own


@dataclass(frozen=True, slots=True)
class BitcoinNetwork:
    """How one network writes its addresses."""

    name: str
    bech32: str
    p2pkh: int
    p2sh: int


MAINNET = BitcoinNetwork("mainnet", "bc", 0x00, 0x05)
TESTNET = BitcoinNetwork("testnet", "tb", 0x6F, 0xC4)
REGTEST = BitcoinNetwork("regtest", "bcrt", 0x6F, 0xC4)
NETWORKS = (MAINNET, TESTNET, REGTEST)


class BitcoinCoin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A coin of the vault: txid as people see it, output's index, satoshi."""

    txid: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    index: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
    amount: Annotated[int, msgspec.Meta(gt=0, le=BTC.most)]


class BitcoinState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The vault's coins that may be spent, and the fee's rate in satoshi a virtual byte."""

    coins: Annotated[tuple[BitcoinCoin, ...], msgspec.Meta(max_length=10_000)]
    fee_rate: Annotated[int, msgspec.Meta(gt=0, le=100_000)]


@dataclass(frozen=True, slots=True)
class BitcoinChain:
    """A Bitcoin network; vaults are taproot outputs.

    Attributes:
        network: which one.
        most_fee: of a transaction, in satoshi: the signer's own limit.
    """

    network: BitcoinNetwork
    most_fee: int = 100_000
    name: str = field(init=False)

    asset: ClassVar[Asset] = BTC
    scheme: ClassVar[Scheme] = Scheme.BIP340
    state_type: ClassVar[type[BitcoinState]] = BitcoinState

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"bitcoin:{self.network.name}")

    def address(self, vault_key: bytes) -> str:
        """The vault's taproot address."""
        return segwit_encode(self.network.bech32, 1, output_key(vault_key))

    def script(self, vault_key: bytes) -> bytes:
        """What locks the vault's coins."""
        return b"\x51\x20" + output_key(vault_key)

    def destination(self, text: str) -> str:
        """The address in its canonical form."""
        self.destination_script(text)
        return text.lower() if "1" in text and text.lower().startswith(f"{self.network.bech32}1") else text

    def destination_script(self, text: str) -> bytes:
        """The script that pays to an address of this network.

        Raises:
            DestinationRefusedError: no address, or one of another network or of a kind that is not spendable yet.
        """
        try:
            prefix, version, program = segwit_decode(text)
        except ValueError as error:
            if any(text.lower().startswith(f"{network.bech32}1") for network in NETWORKS):
                raise DestinationRefusedError(f"{_shown(text)} is no Bitcoin address: {error}") from None
            return self._base58_script(text)
        if prefix != self.network.bech32:
            raise self._other_network(text, [n.name for n in NETWORKS if n.bech32 == prefix])
        if version > 1 or (version == 1 and len(program) != 32):
            raise DestinationRefusedError(
                f"{text} is of a kind that nobody can spend from yet (witness version {version})"
            )
        return bytes([0x50 + version if version else 0, len(program)]) + program

    def build(self, transfer: Transfer, state: BitcoinState) -> Unsigned:
        """Pay the amount to the destination, the rest back to the vault."""
        amount = BTC.check(transfer.amount)
        pay = Output(amount, self.destination_script(transfer.destination))
        own = self.script(transfer.vault_key)
        if pay.script == own:
            raise DestinationRefusedError(f"{transfer.destination} is the vault itself: nothing would move")
        if amount < _dust(pay.script):
            raise TransferRefusedError(
                f"{amount} satoshis are dust: nodes relay {_dust(pay.script)} or more to this kind of address"
            )
        transaction = _choose(state, pay, own)
        fee = sum(coin.amount for coin in transaction.inputs) - sum(output.amount for output in transaction.outputs)
        if fee > self.most_fee:
            raise TransferRefusedError(
                f"the fee would be {fee} satoshis, the limit is {self.most_fee}: wait, or raise the limit"
            )
        key = output_key(transfer.vault_key)
        return Unsigned(
            chain=self.name,
            body=transaction.body,
            to_sign=tuple(
                ToSign(self.scheme, transaction.digest(index), key) for index in range(len(transaction.inputs))
            ),
            consumes=frozenset(f"{coin.txid[::-1].hex()}:{coin.index}" for coin in transaction.inputs),
            fee=fee,
        )

    def attach(self, unsigned: Unsigned, signatures: Sequence[bytes]) -> Signed:
        """One signature an input, in order."""
        check_chain(self.name, unsigned)
        if len(signatures) != len(unsigned.to_sign):
            raise SignatureRefusedError(f"expected {len(unsigned.to_sign)} signatures, got {len(signatures)}")
        for number, (wanted, signature) in enumerate(zip(unsigned.to_sign, signatures, strict=True), 1):
            if not verify(signature, wanted.message, wanted.public_key):
                raise SignatureRefusedError(
                    f"signature {number} of {len(signatures)} does not verify under the vault's key"
                )
        payload = with_witnesses(unsigned.body, [[signature] for signature in signatures])
        return Signed(self.name, payload, double_sha256(unsigned.body)[::-1].hex())

    def _base58_script(self, text: str) -> bytes:
        try:
            payload = base58check_decode(text)
        except ValueError as error:
            raise DestinationRefusedError(f"{_shown(text)} is no Bitcoin address: {error}") from None
        version, digest = payload[0], payload[1:]
        if len(digest) == 20 and version == self.network.p2pkh:
            return b"\x76\xa9\x14" + digest + b"\x88\xac"
        if len(digest) == 20 and version == self.network.p2sh:
            return b"\xa9\x14" + digest + b"\x87"
        raise self._other_network(
            text, [n.name for n in NETWORKS if version in (n.p2pkh, n.p2sh) and len(digest) == 20]
        )

    def _other_network(self, text: str, names: list[str]) -> DestinationRefusedError:
        known = f"an address of Bitcoin's {' or '.join(names)}" if names else "no address of Bitcoin"
        return DestinationRefusedError(f"{_shown(text)} is {known}; this vault is on {self.network.name}")


def _choose(state: BitcoinState, pay: Output, own: bytes) -> Transaction:
    """The fewest coins that cover amount and fee, and change where it is worth it."""
    coins = sorted(state.coins, key=lambda coin: (-coin.amount, coin.txid, coin.index))
    if len({(coin.txid, coin.index) for coin in coins}) != len(coins):
        raise TransferRefusedError("the facts name a coin twice")
    chosen: list[Input] = []
    have = 0
    for coin in coins[:_MOST_COINS]:
        chosen.append(Input(bytes.fromhex(coin.txid)[::-1], coin.index, coin.amount, own))
        have += coin.amount
        change = have - pay.amount - state.fee_rate * virtual_size(len(chosen), [pay.script, own])
        if change >= _dust(own):
            return Transaction(tuple(chosen), (pay, Output(change, own)))
        if have >= pay.amount + state.fee_rate * virtual_size(len(chosen), [pay.script]):
            return Transaction(tuple(chosen), (pay,))
    raise TransferRefusedError(
        f"{pay.amount} satoshis and the fee are needed, the vault's {len(chosen)} largest coins have {have}"
    )


def _dust(script: bytes) -> int:
    """Bitcoin Core's rule: what costs more to spend than it is worth, in satoshi."""
    witness = script[0] in (0x00, 0x51)
    return _DUST_RATE * (8 + 1 + len(script) + (67 if witness else 148))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:97] + "...")
