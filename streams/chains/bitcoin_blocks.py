"""Blocks of a regtest chain, as bytes. Whether they are valid is the kernel's decision."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pbk

from m1cep.custody.chains.bitcoin.transaction import Output, compact, double_sha256, sized, with_witnesses

if TYPE_CHECKING:
    from collections.abc import Sequence

ANYONE = b"\x51"  # OP_TRUE: the faucet's coins need no signature
FAUCET = b"\x00\x20" + hashlib.sha256(ANYONE).digest()
_EASIEST = 0x207FFFFF  # regtest's proof of work: every second hash will do
_BLOCK_S = 600


def block_bytes(parent: pbk.BlockTreeEntry, transactions: Sequence[bytes], extra: int) -> bytes:
    """A block on ``parent`` whose reward goes to the faucet. ``extra`` makes it different from every other."""
    height = parent.height + 1
    witness_ids = [bytes(32), *(double_sha256(raw) for raw in transactions)]
    commitment = b"\x6a\x24\xaa\x21\xa9\xed" + double_sha256(_merkle(witness_ids) + bytes(32))
    reward = 50 * 10**8 >> height // 150  # fees are left to nobody: a block may pay its miner less than it could
    push = height.to_bytes((height.bit_length() + 8) // 8, "little")
    script_sig = (bytes([0x50 + height]) if height <= 16 else sized(push)) + sized(extra.to_bytes(8, "little"))
    head = (2).to_bytes(4, "little") + b"\x01" + bytes(32) + b"\xff" * 4 + sized(script_sig) + b"\xff" * 4
    body = head + compact(2) + Output(reward, FAUCET).raw + Output(0, commitment).raw + bytes(4)
    coinbase = with_witnesses(body, [[bytes(32)]])
    ids = [double_sha256(body), *(bytes(pbk.Transaction(raw).txid) for raw in transactions)]
    time_s = int(parent.block_header.timestamp.timestamp()) + _BLOCK_S
    start = (0x20000000).to_bytes(4, "little") + bytes(parent.block_hash) + _merkle(ids)
    start += time_s.to_bytes(4, "little") + _EASIEST.to_bytes(4, "little")
    nonce = 0
    while double_sha256(start + nonce.to_bytes(4, "little"))[31] > 0x7F:
        nonce += 1
    return start + nonce.to_bytes(4, "little") + compact(1 + len(transactions)) + coinbase + b"".join(transactions)


def _merkle(ids: list[bytes]) -> bytes:
    while len(ids) > 1:
        ids = [*ids, ids[-1]] if len(ids) % 2 else ids
        ids = [double_sha256(ids[i] + ids[i + 1]) for i in range(0, len(ids), 2)]
    return ids[0]
