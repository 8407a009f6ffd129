"""How Bitcoin writes addresses: Base58Check, and Bech32 with Bech32m (BIP 173, BIP 350)."""

from __future__ import annotations

import hashlib

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECK = {"bech32": 1, "bech32m": 0x2BC830A3}


def base58check_decode(text: str) -> bytes:
    """The payload, checksum verified and removed.

    Raises:
        ValueError: not Base58, or the checksum is wrong.
    """
    if not text or len(text) > 100 or any(c not in _BASE58 for c in text):
        raise ValueError("not Base58")
    number = 0
    for c in text:
        number = number * 58 + _BASE58.index(c)
    zeros = len(text) - len(text.lstrip("1"))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    payload, check = raw[:-4], raw[-4:]
    if len(raw) < 5 or hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4] != check:
        raise ValueError("wrong checksum: a mistyped character?")
    return payload


def segwit_encode(prefix: str, version: int, program: bytes) -> str:
    """The address of a witness program: Bech32 for version 0, Bech32m above."""
    data = [version, *_regroup(program, 8, 5, pad=True)]
    expanded = _expand(prefix)
    check = _polymod([*expanded, *data, 0, 0, 0, 0, 0, 0]) ^ _CHECK["bech32m" if version else "bech32"]
    tail = [(check >> 5 * (5 - i)) & 31 for i in range(6)]
    return f"{prefix}1{''.join(_BECH32[d] for d in data + tail)}"


def segwit_decode(text: str) -> tuple[str, int, bytes]:
    """Prefix, witness version and program.

    Raises:
        ValueError: not such an address, or the checksum is wrong.
    """
    if text not in (text.lower(), text.upper()):
        raise ValueError("mixed upper and lower case")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix or len(text) > 90 or len(rest) < 7 or any(c not in _BECH32 for c in rest):
        raise ValueError("not Bech32")
    if any(not 33 <= ord(c) <= 126 for c in prefix):
        raise ValueError("not Bech32")
    data = [_BECH32.index(c) for c in rest]
    check = _polymod([*_expand(prefix), *data])
    version, program = data[0], bytes(_regroup(bytes(data[1:-6]), 5, 8, pad=False))
    if check != _CHECK["bech32m" if version else "bech32"]:
        raise ValueError("wrong checksum: a mistyped character?")
    if version > 16 or not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        raise ValueError("no witness program")
    return prefix, version, program


def _expand(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, term in enumerate(_GENERATOR):
            if top >> i & 1:
                check ^= term
    return check


def _regroup(data: bytes, wide: int, narrow: int, *, pad: bool) -> list[int]:
    """Groups of ``wide`` bits to groups of ``narrow`` bits."""
    held, bits, out = 0, 0, []
    for value in data:
        held, bits = held << wide | value, bits + wide
        while bits >= narrow:
            bits -= narrow
            out.append(held >> bits)
            held &= (1 << bits) - 1
    if pad and bits:
        out.append(held << narrow - bits)
    elif not pad and (bits >= wide or held):
        raise ValueError("wrong padding")
    return out
