"""What both kinds of EVM vault share: ether, addresses, CREATE2, calls."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from m1cep.custody.chains.amounts import Asset
from m1cep.custody.chains.errors import DestinationRefusedError, TransferRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

ETH = Asset("ETH", "wei", 18, 2**128 - 1)
ZERO = "0x" + "00" * 20
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_LAST_PRECOMPILE = 0x1FF


def destination(text: str) -> str:
    """The address with its checksum (ERC-55). Written in one case it has none, and a mistyped character goes unseen.

    Raises:
        DestinationRefusedError: no address, a wrong checksum, or one that no key can belong to.
    """
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    if not _ADDRESS.fullmatch(text):
        raise DestinationRefusedError(f"{shown} is no address of the EVM: expected 0x and 40 hexadecimal digits")
    checked: str = to_checksum_address(text)
    if text[2:] not in (text[2:].lower(), text[2:].upper()) and text != checked:
        raise DestinationRefusedError(f"{shown} has a wrong checksum: a mistyped character?")
    if int(text, 16) <= _LAST_PRECOMPILE:
        raise DestinationRefusedError(f"{shown} is nobody's: the zero address or one of the machine itself")
    return checked


def create2(factory: str, salt: bytes, init_code: bytes) -> str:
    """Where a contract will be, by who makes it, its salt and its code (EIP-1014)."""
    digest: bytes = keccak(b"\xff" + bytes.fromhex(factory[2:]) + salt + keccak(init_code))
    checked: str = to_checksum_address(digest[12:])
    return checked


def call(signature: str, arguments: Sequence[object]) -> bytes:
    """Data of a call to a function such as ``pay(address,uint256)``."""
    inside = signature[signature.index("(") + 1 : -1]
    selector: bytes = keccak(text=signature)[:4]
    arguments_: bytes = encode(inside.split(","), arguments) if inside else b""
    return selector + arguments_


def enough(amount: int, balance: int) -> None:
    """Raises TransferRefusedError when the vault has less than the amount, in wei."""
    if balance < amount:
        raise TransferRefusedError(f"{amount} wei are needed, the vault has {balance}")
