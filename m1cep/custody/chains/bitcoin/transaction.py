"""Bitcoin transactions as bytes, and their BIP 341 digests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from m1cep.custody.frost.secp256k1 import tagged_hash

VERSION = 2
FINAL = 0xFFFFFFFF  # sequence: never replaced, no lock time


@dataclass(frozen=True, slots=True)
class Input:
    """A coin that is spent: where it is (txid in the order of bytes that the protocol uses), and what it was.

    Attributes:
        txid: 32 bytes.
        index: of the output.
        amount: in satoshi.
        script: that it is locked by.
    """

    txid: bytes
    index: int
    amount: int
    script: bytes

    @property
    def outpoint(self) -> bytes:
        """As the protocol writes it."""
        return self.txid + self.index.to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Output:
    """An amount in satoshi and the script that locks it."""

    amount: int
    script: bytes

    @property
    def raw(self) -> bytes:
        """As the protocol writes it."""
        return self.amount.to_bytes(8, "little") + sized(self.script)


@dataclass(frozen=True, slots=True)
class Transaction:
    """Inputs and outputs; version 2, no lock time."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    @property
    def body(self) -> bytes:
        """Without witnesses: what the txid is the hash of."""
        return VERSION.to_bytes(4, "little") + self._middle() + bytes(4)

    @property
    def txid(self) -> bytes:
        """In the order of bytes that the protocol uses; people see it reversed."""
        return double_sha256(self.body)

    def digest(self, index: int) -> bytes:
        """What the key path of input ``index`` signs: SIGHASH_DEFAULT, no annex (BIP 341, common signature message)."""
        coins = self.inputs
        message = bytes(1)  # hash type: everything
        message += VERSION.to_bytes(4, "little") + bytes(4)  # lock time
        message += _sha256(b"".join(coin.outpoint for coin in coins))
        message += _sha256(b"".join(coin.amount.to_bytes(8, "little") for coin in coins))
        message += _sha256(b"".join(sized(coin.script) for coin in coins))
        message += _sha256(FINAL.to_bytes(4, "little") * len(coins))
        message += _sha256(b"".join(output.raw for output in self.outputs))
        message += bytes(1)  # spend type: key path, no annex
        message += index.to_bytes(4, "little")
        return tagged_hash(b"TapSighash", bytes(1) + message)

    def _middle(self) -> bytes:
        ins = b"".join(coin.outpoint + bytes(1) + FINAL.to_bytes(4, "little") for coin in self.inputs)
        outs = b"".join(output.raw for output in self.outputs)
        return compact(len(self.inputs)) + ins + compact(len(self.outputs)) + outs


def with_witnesses(body: bytes, witnesses: list[list[bytes]]) -> bytes:
    """A transaction's bytes with a stack of witness items for each input (BIP 144)."""
    stacks = b"".join(compact(len(stack)) + b"".join(sized(item) for item in stack) for stack in witnesses)
    return body[:4] + b"\x00\x01" + body[4:-4] + stacks + body[-4:]


def virtual_size(taproot_inputs: int, output_scripts: list[bytes]) -> int:
    """In vbytes, of a transaction whose inputs are all spent by a key path with a 64-byte signature (BIP 141)."""
    base = 8 + len(compact(taproot_inputs)) + 41 * taproot_inputs
    base += len(compact(len(output_scripts))) + sum(8 + len(sized(script)) for script in output_scripts)
    witness = 2 + taproot_inputs * 66
    return -(-(4 * base + witness) // 4)


def compact(number: int) -> bytes:
    """A count as the protocol writes it."""
    if number < 0xFD:
        return number.to_bytes(1, "little")
    if number <= 0xFFFF:
        return b"\xfd" + number.to_bytes(2, "little")
    return b"\xfe" + number.to_bytes(4, "little")


def sized(data: bytes) -> bytes:
    """Bytes after their length."""
    return compact(len(data)) + data


def double_sha256(data: bytes) -> bytes:
    """Bitcoin's hash of transactions and blocks."""
    return _sha256(_sha256(data))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
