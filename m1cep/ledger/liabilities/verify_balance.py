"""Check that what you are owed is part of what a platform says it owes. Needs Python 3.9 and nothing else.

    python3 verify_balance.py proof.json --user YOUR-ACCOUNT --key THEIR-PUBLIC-KEY
    python3 verify_balance.py statement.json --leaves BTC=BTC.leaves [--leaves ...] --key KEY     anybody: the totals
    python3 verify_balance.py statement.json --reserves reserves.json --key KEY                   anybody: the reserves

A platform that owes you 5 publishes a signed statement: for each asset a total, and a root. The root stands for a list of amounts
of which your balance is some (in a few pieces, so that nobody who reads the list finds it). Your proof has the way from each of
your pieces to the root. This program walks it and checks:

- the pieces add up to your balance, each is named for YOUR-ACCOUNT and no other, and none is counted twice. Type your
  account yourself: two people who are shown one and the same piece would find the same name in what they are shown;
- no amount on the way is negative or too large, the way ends at the root, and the amounts at the total. Each node is a hash of
  BOTH amounts below it: of their sum alone, a platform could show each customer another pair with the same sum;
- the statement is signed by KEY: get it elsewhere than the proof. Compare the statement with your friends' (same epoch, same
  "statement" line here): a platform could sign two.

Exit code 0: all of it is true. 1: something is not, and what. 2: the files or options are not as expected.

A piece ("leaf")     H(leaf tag, epoch, asset, amount (96 bits), commitment)
Its commitment       H(commitment tag, salt of the piece, account)
Salt of a piece      HMAC(your salt, asset, number of the piece)
A node               H(node tag, left hash, left sum (128 bits), right hash, right sum)

H is SHA-256. Signatures are Ed25519 (RFC 8032) or BIP340 (Bitcoin's Schnorr signatures), of the SHA-256 of the statement. Those
of vaults on EVM chains are FROST's on secp256k1 (RFC 9591): ask the contract at the address for its key (KEY_X, KEY_ODD). For a
Safe as many owners sign (ECDSA) as it takes to pay; their addresses and that number make the Safe's address. Owners can be
changed later: ask it for getOwners and getThreshold, or for checkSignatures(challenge, "", signature).
"""

from __future__ import annotations

import argparse
import hmac
import json
import sys
from hashlib import sha256, sha512
from typing import Any, Dict, Tuple  # noqa: UP035 - Python 3.9 reads this file, too

Json = Any
Object = Dict[str, Any]  # noqa: UP006 - as above
EdPoint = Tuple[int, int, int, int]  # noqa: UP006 - as above
K1Point = Tuple[int, int, int]  # noqa: UP006 - as above

FORMAT = "m1cep-liabilities-1"
PROOF_FORMAT = "m1cep-liabilities-proof-1"
RESERVES_FORMAT = "m1cep-reserves-1"
LEAF_TAG = b"m1cep.liabilities.leaf.v1\0"
NODE_TAG = b"m1cep.liabilities.node.v1\0"
COMMITMENT_TAG = b"m1cep.liabilities.commitment.v1\0"
STATEMENT_TAG = b"m1cep.liabilities.statement.v1\0"
CHALLENGE_TAG = b"m1cep.reserves.challenge.v1\0"
AMOUNT_BYTES = 12  # of a piece
SUM_BYTES = 16  # of a node: 2^32 pieces of the largest amount
LEAF_FILE_BYTES = AMOUNT_BYTES + 32
MOST_LEVELS = 32
MOST_DECIMALS = 40
SIZES = {"ed25519": (32, 64), "bip340": (32, 64), "secp256k1": (33, 65)}  # bytes of a public key, of a signature
SAFE = (
    "safe"  # a threshold (one byte) and owners' addresses (20 each), ascending; signatures (65 each) in the same order
)
MOST_OWNERS = 50


class Untrue(Exception):  # noqa: N818 - what it says is not an error of the program: the proof does not hold
    """Something that was claimed does not hold; the text says what."""


# --- What is hashed -------------------------------------------------------------------------------------------------------


def chunk_salt(salt: bytes, asset: str, number: int) -> bytes:
    """The salt of a customer's piece ``number`` (from 0)."""
    return hmac.digest(salt, asset.encode() + b"\0" + number.to_bytes(4, "big"), "sha256")


def commitment(salt_of_chunk: bytes, user: str) -> bytes:
    """What a piece says about whose it is: nothing, to those who do not know the salt."""
    return sha256(COMMITMENT_TAG + salt_of_chunk + user.encode()).digest()


def leaf_prefix(epoch_ms: int, asset: str) -> bytes:
    """What the hashes of all leaves of an asset begin with."""
    name = asset.encode()
    return LEAF_TAG + epoch_ms.to_bytes(8, "big") + len(name).to_bytes(2, "big") + name


def leaf_hash(prefix: bytes, amount: int, commitment_: bytes) -> bytes:
    """The hash of a leaf; OverflowError for an amount below zero or of more than 96 bits."""
    return sha256(prefix + amount.to_bytes(AMOUNT_BYTES, "big") + commitment_).digest()


def node_hash(left: bytes, left_sum: int, right: bytes, right_sum: int) -> bytes:
    """The hash of a node, of both sums below it."""
    return sha256(
        NODE_TAG + left + left_sum.to_bytes(SUM_BYTES, "big") + right + right_sum.to_bytes(SUM_BYTES, "big")
    ).digest()


def canonical(value: Json) -> bytes:
    """One text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def statement_digest(statement: Json) -> bytes:
    """What is signed, and by which the next statement names this one."""
    try:
        return sha256(STATEMENT_TAG + canonical(statement)).digest()
    except ValueError as error:
        raise Untrue("the statement has a number that is none") from error


def challenge_digest(statement: bytes, epoch_ms: int, chain: str, asset: str, address: str) -> bytes:
    """What the key of an address signs for one statement; of no use for another one, nor as a transaction."""
    words = {"statement": statement.hex(), "epoch_ms": epoch_ms, "chain": chain, "asset": asset, "address": address}
    return sha256(CHALLENGE_TAG + canonical(words)).digest()


# --- What is checked ------------------------------------------------------------------------------------------------------


def check_signed(signed: Json, key: str | None) -> Object:
    """The statement, when it is well formed and signed, by ``key`` where one is given (hexadecimal)."""
    statement: Object = member(signed, "statement", dict)
    signature = member(signed, "signature", dict)
    check_statement(statement)
    public_key = hexadecimal(member(signature, "public_key", str), 32, "public key")
    if key is not None and hexadecimal(key, 32, "--key") != public_key:
        raise Untrue(f"the statement is signed by {public_key.hex()}, expected {key}")
    check_signature(
        member(signature, "scheme", str),
        public_key,
        statement_digest(statement),
        hexadecimal(member(signature, "value", str), 64, "signature"),
        "the statement",
    )
    return statement


def check_statement(statement: Object) -> None:
    """Whether it is well formed."""
    if member(statement, "format", str) != FORMAT:
        raise Untrue(f"this program reads {FORMAT}, the statement is {statement['format']!r:.40}")
    whole(member(statement, "epoch_ms", int), 2**63, "epoch_ms")
    for asset, facts in member(statement, "assets", dict).items():
        if not asset or not asset.isprintable():  # it could write lines of its own among ours
            raise Untrue(f"expected a name of an asset, got {asset!r:.80}")
        whole(member(facts, "decimals", int), MOST_DECIMALS + 1, f"decimals of {asset}")
        number(member(facts, "total", str), SUM_BYTES, f"total of {asset}")
        hexadecimal(member(facts, "root", str), 32, f"root of {asset}")
        leaves = whole(member(facts, "leaves", int), 2**MOST_LEVELS + 1, f"leaves of {asset}")
        if leaves == 0 or leaves & (leaves - 1):
            raise Untrue(f"expected a power of two of leaves of {asset}, got {leaves}")


def check_proof(proof: Json, user: str, key: str | None) -> tuple[Object, dict[str, int]]:
    """The statement, and the balances in it that are proven to be ``user``'s; zero is proven by nothing."""
    if member(proof, "format", str) != PROOF_FORMAT:
        raise Untrue(f"this program reads {PROOF_FORMAT}, the proof is {proof['format']!r:.40}")
    statement = check_signed(member(proof, "signed", dict), key)
    if member(proof, "user", str) != user:
        raise Untrue(f"the proof is for {proof['user']!r:.80}, not for {user!r:.80}")
    salt = hexadecimal(member(proof, "salt", str), 32, "salt")
    balances = {}
    for asset, part in member(proof, "assets", dict).items():
        facts = member(statement["assets"], asset, dict)
        balance, seen, prefix = 0, set(), leaf_prefix(statement["epoch_ms"], asset)
        for order, chunk in enumerate(member(part, "chunks", list)):
            mine = commitment(chunk_salt(salt, asset, order), user)
            index, amount = check_chunk(chunk, prefix, mine, facts, asset)
            if index in seen:
                raise Untrue(f"{asset}: the leaf {index} is counted twice")
            seen.add(index)
            balance += amount
        if balance != number(member(part, "balance", str), SUM_BYTES, f"balance of {asset}"):
            raise Untrue(f"{asset}: the pieces add up to {balance}, the proof says {part['balance']}")
        balances[asset] = balance
    if not balances:
        raise Untrue(f"the proof shows no balance at all of {user!r:.80}")
    return statement, balances


def check_chunk(chunk: Json, prefix: bytes, mine: bytes, facts: Object, asset: str) -> tuple[int, int]:
    """Index and amount of a piece, when its way ends at the root and the total."""
    leaves = facts["leaves"]
    index = whole(member(chunk, "index", int), leaves, "index")
    amount = number(member(chunk, "amount", str), AMOUNT_BYTES, "amount")
    path = member(chunk, "path", list)
    if 1 << len(path) != leaves:
        raise Untrue(f"{asset}: expected a way of {leaves.bit_length() - 1} steps, got {len(path)}")
    here, total = leaf_hash(prefix, amount, mine), amount
    for level, step in enumerate(path):
        if not isinstance(step, list) or len(step) != 2:
            raise Untrue(f"{asset}: a step of the way is no pair of hash and sum")
        beside, beside_sum = hexadecimal(step[0], 32, "hash"), number(step[1], SUM_BYTES, "sum")
        left, right = (here, total), (beside, beside_sum)
        if index >> level & 1:
            left, right = right, left
        here = node_hash(*left, *right)
        total += beside_sum
        if total >> 8 * SUM_BYTES:
            raise Untrue(f"{asset}: the sums on the way are too large to be true")
    if here.hex() != facts["root"]:
        raise Untrue(f"{asset}: the way from your piece {index} does not end at the root: the statement leaves it out")
    if total != int(facts["total"]):
        raise Untrue(f"{asset}: the amounts on the way add up to {total}, the statement says {facts['total']}")
    return index, amount


def check_leaves(statement: Object, asset: str, data: bytes) -> None:
    """Whether the published leaves are those of the statement: each once, their root, their total."""
    facts = member(statement["assets"], asset, dict)
    if len(data) != facts["leaves"] * LEAF_FILE_BYTES:
        raise Untrue(f"{asset}: expected {facts['leaves']} leaves, got {len(data) / LEAF_FILE_BYTES:g}")
    prefix, sums, hashes, before = leaf_prefix(statement["epoch_ms"], asset), [], [], b""
    for at in range(0, len(data), LEAF_FILE_BYTES):
        amount, one = data[at : at + AMOUNT_BYTES], data[at + AMOUNT_BYTES : at + LEAF_FILE_BYTES]
        if one <= before:  # they are in the order of their commitments, which is that of dice
            raise Untrue(f"{asset}: leaf {at // LEAF_FILE_BYTES} is there twice or out of order")
        before = one
        hashes.append(sha256(prefix + amount + one).digest())
        sums.append(int.from_bytes(amount, "big"))
    while len(hashes) > 1:
        pairs = range(0, len(hashes), 2)
        hashes = [node_hash(hashes[n], sums[n], hashes[n + 1], sums[n + 1]) for n in pairs]
        sums = [sums[n] + sums[n + 1] for n in pairs]
    if hashes[0].hex() != facts["root"] or str(sums[0]) != facts["total"]:
        raise Untrue(
            f"{asset}: the leaves make total {sums[0]} and root {hashes[0].hex()}, not what the statement says"
        )


def check_reserves(statement: Object, reserves: Json) -> dict[str, int]:
    """By asset, what is said to lie at addresses whose keys have signed for this very statement.

    The amounts are the platform's words: look the addresses up on their chains, at the height that is given.
    """
    if member(reserves, "format", str) != RESERVES_FORMAT:
        raise Untrue(f"this program reads {RESERVES_FORMAT}, the reserves are {reserves['format']!r:.40}")
    digest = statement_digest(statement)
    found: dict[str, int] = {}
    seen = set()
    for place in member(reserves, "reserves", list):
        chain, asset, address = (member(place, name, str) for name in ("chain", "asset", "address"))
        if (same := one_place(chain, asset, address)) in seen:
            raise Untrue(f"the address {address} is counted twice")
        seen.add(same)
        scheme = member(place, "scheme", str)
        key_size, signature_size = sizes(scheme, member(place, "public_key", str))
        public_key = hexadecimal(place["public_key"], key_size, "public key")
        if address_of(chain, public_key) not in (address, None):
            raise Untrue(f"{address} is not the address of the key {public_key.hex()} on {chain}")
        challenge = challenge_digest(digest, statement["epoch_ms"], chain, asset, address)
        value = hexadecimal(member(place, "signature", str), signature_size, "signature")
        check_signature(scheme, public_key, challenge, value, f"the challenge of {address}")
        found[asset] = found.get(asset, 0) + number(member(place, "units", str), SUM_BYTES, f"units at {address}")
    return found


def check_signature(scheme: str, public_key: bytes, message: bytes, signature: bytes, what: str) -> None:
    """Whether the signature is the key's, of the message."""
    schemes = {"ed25519": ed25519_verify, "bip340": bip340_verify, "secp256k1": secp256k1_verify, SAFE: safe_verify}
    verify = schemes.get(scheme)
    if verify is None:
        raise Untrue(f"expected a signature of the scheme {', '.join(schemes)}, got {scheme!r:.40}")
    expected = sizes(scheme, public_key.hex())
    if (len(public_key), len(signature)) != expected or not verify(public_key, message, signature):
        raise Untrue(f"{what} is not signed by {public_key.hex()}")


def sizes(scheme: str, public_key: str) -> tuple[int, int]:
    """Bytes of a public key and of a signature; of a Safe they follow from how many owners it has, and how many sign."""
    if scheme != SAFE:
        return SIZES.get(scheme, (32, 64))
    size = len(public_key) // 2
    owners, threshold = size // 20, hexadecimal(public_key[:2], 1, "threshold")[0]
    if size % 20 != 1 or not 1 <= threshold <= owners <= MOST_OWNERS:
        raise Untrue(f"expected a threshold and 1 to {MOST_OWNERS} owners of a Safe, got {public_key!r:.60}")
    return size, 65 * threshold


def one_place(chain: str, asset: str, address: str) -> tuple[str, str, str]:
    """What two ways to write one place have in common: BTC and bitcoin:mainnet/BTC, main and mainnet, an address's letters."""
    family, _, network = chain.partition(":")
    symbol = asset.rpartition("/")[2]
    if family in ("bitcoin", "solana"):  # Bitcoin's addresses name their network, a key on two of Solana's counts once
        return family, symbol, address
    if family not in ("evm", SAFE):
        return chain, symbol, address
    if not network.isascii() or not network.isdigit() or network.startswith("0"):
        raise Untrue(f"expected a chain such as evm:1, got {chain!r:.60}")
    return network, symbol, "0x" + hexadecimal(address[2:], 20, f"address behind {address[:2]}").hex()


def address_of(chain: str, public_key: bytes) -> str | None:
    """The address that follows from a key: Bitcoin's taproot, Solana's, a Safe's; None on other chains: they have to be asked."""
    family, _, network = chain.partition(":")
    if family == SAFE:
        return safe_address(public_key)
    if family == "bitcoin":
        prefix = {"": "bc", "mainnet": "bc", "main": "bc", "regtest": "bcrt"}.get(network, "tb")
        return taproot_address(prefix, public_key)
    return base58(public_key) if family == "solana" else None


# --- Values of JSON, none of which is believed ----------------------------------------------------------------------------


def member(value: Json, name: str, kind: type) -> Any:
    """The member of an object, of the right kind."""
    if not isinstance(value, dict) or name not in value:
        raise Untrue(f"there is no {name!r:.80}")
    found = value[name]
    if not isinstance(found, kind) or isinstance(found, bool):
        raise Untrue(f"expected {name!r:.80} to be {kind.__name__}, got {type(found).__name__}")
    return found


def whole(value: int, below: int, what: str) -> int:
    """An integer from 0 that is smaller than ``below``."""
    if not 0 <= value < below:
        raise Untrue(f"expected {what} from 0 to {below - 1}, got {value!r:.60}")
    return value


def number(text: object, size: int, what: str) -> int:
    """An amount, which JSON holds as text: digits and nothing else, so never negative."""
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > 40:
        raise Untrue(f"expected {what} in digits, got {text!r:.60}")
    return whole(int(text), 1 << 8 * size, what)


def hexadecimal(text: object, size: int, what: str) -> bytes:
    """Bytes as hexadecimal digits."""
    try:
        found = bytes.fromhex(text) if isinstance(text, str) and len(text) == 2 * size else b""
    except ValueError:
        found = b""
    if len(found) != size:
        raise Untrue(f"expected {what} of {2 * size} hexadecimal digits, got {text!r:.60}")
    return found


# --- Signatures: verification only, so nothing here is secret or has to take the same time always -------------------------

ED_P, ED_L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
ED_D = -121665 * pow(121666, -1, ED_P) % ED_P
ED_ZERO = (0, 1, 1, 0)
ED_I = pow(2, (ED_P - 1) // 4, ED_P)  # a square root of -1


def ed25519_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032, 5.1.7: whether S*B = R + k*A."""
    point = ed_point(public_key)
    s = int.from_bytes(signature[32:], "little")
    if point is None or s >= ED_L:
        return False
    k = int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % ED_L
    minus = (ED_P - point[0], point[1], 1, -point[0] * point[1] % ED_P)
    x, y, z, _ = ed_two_products(s, ED_BASE, k, minus)
    inverse = pow(z, -1, ED_P)
    x, y = x * inverse % ED_P, y * inverse % ED_P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def ed_point(encoded: bytes) -> tuple[int, int] | None:
    """The point of an encoding, RFC 8032, 5.1.3; None when it is none."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= ED_P:
        return None
    u, v = (y * y - 1) % ED_P, (ED_D * y * y + 1) % ED_P
    x = u * v**3 * pow(u * pow(v, 7, ED_P), (ED_P - 5) // 8, ED_P) % ED_P
    if (v * x * x - u) % ED_P:
        x = x * ED_I % ED_P
    if (v * x * x - u) % ED_P or (x == 0 and sign):
        return None
    return (ED_P - x if x & 1 != sign else x), y


def ed_add(a: EdPoint, b: EdPoint) -> EdPoint:
    """Sum in extended coordinates (x/z, y/z, xy/z), RFC 8032, 5.1.4; complete: of equal points, too."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % ED_P, (a[1] + a[0]) * (b[1] + b[0]) % ED_P
    g, h = 2 * a[3] * b[3] * ED_D % ED_P, 2 * a[2] * b[2] % ED_P
    low, high, minus, plus = f - e, f + e, h - g, h + g
    return low * minus % ED_P, plus * high % ED_P, minus * plus % ED_P, low * high % ED_P


def ed_two_products(m: int, a: EdPoint, n: int, b: EdPoint) -> EdPoint:
    """m*a + n*b, both in one go."""
    both, total = ed_add(a, b), ED_ZERO
    for bit in range(max(m.bit_length(), n.bit_length()) - 1, -1, -1):
        total = ed_add(total, total)
        which = (m >> bit & 1) + 2 * (n >> bit & 1)
        if which:
            total = ed_add(total, (a, b, both)[which - 1])
    return total


ED_BASE_Y = 4 * pow(5, -1, ED_P) % ED_P
ED_BASE_X = (ed_point(ED_BASE_Y.to_bytes(32, "little")) or (0, 0))[0]
ED_BASE = (ED_BASE_X, ED_BASE_Y, 1, ED_BASE_X * ED_BASE_Y % ED_P)

K1_P = 2**256 - 2**32 - 977
K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
K1_G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
    1,
)
K1_ZERO = (0, 1, 0)


def bip340_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """BIP340: whether R = s*G - e*P has an even y and the x of the signature."""
    point = k1_point(int.from_bytes(public_key, "big"))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if point is None or r >= K1_P or s >= K1_N:
        return False
    tag = sha256(b"BIP0340/challenge").digest()
    e = int.from_bytes(sha256(tag + tag + signature[:32] + public_key + message).digest(), "big") % K1_N
    x, y, z = k1_two_products(s, K1_G, K1_N - e, point)
    if z == 0:
        return False
    inverse = pow(z, -1, K1_P)
    return x * inverse**2 % K1_P == r and y * inverse**3 % K1_P % 2 == 0


def secp256k1_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """FROST(secp256k1, SHA-256), RFC 9591, 6.5: whether R = z*G - c*P."""
    point = k1_point(int.from_bytes(public_key[1:], "big"))
    z = int.from_bytes(signature[33:], "big")
    if point is None or public_key[0] not in (2, 3) or z >= K1_N:
        return False
    if point[1] % 2 != public_key[0] % 2:
        point = point[0], K1_P - point[1], 1
    c = int.from_bytes(expanded(signature[:33] + public_key + message, b"FROST-secp256k1-SHA256-v1chal"), "big")
    x, y, z_ = k1_two_products(z, K1_G, K1_N - c % K1_N, point)
    if z_ == 0:
        return False
    inverse = pow(z_, -1, K1_P)
    x, y = x * inverse**2 % K1_P, y * inverse**3 % K1_P
    return bytes([2 + y % 2]) + x.to_bytes(32, "big") == signature[:33]


def safe_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether as many different owners as the threshold have signed, in the order of their addresses, as the Safe wants it."""
    owners = [public_key[at : at + 20] for at in range(1, len(public_key), 20)]
    signers = [ecdsa_signer(message, signature[at : at + 65]) for at in range(0, len(signature), 65)]
    return signers == sorted(set(signers)) and set(signers) <= set(owners)


def ecdsa_signer(message: bytes, signature: bytes) -> bytes:
    """The address of who has signed 32 bytes: SEC 1, 4.1.6, with r, s and v as Ethereum has them; empty: nobody has."""
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    point = k1_point(r)
    if not 0 < r < K1_N or not 0 < s < K1_N or v not in (27, 28) or point is None:
        return b""
    if point[1] % 2 != v - 27:
        point = point[0], K1_P - point[1], 1
    inverse = pow(r, -1, K1_N)
    x, y, z = k1_two_products(s * inverse % K1_N, point, -int.from_bytes(message, "big") * inverse % K1_N, K1_G)
    if z == 0:
        return b""
    inverse = pow(z, -1, K1_P)
    x, y = x * inverse**2 % K1_P, y * inverse**3 % K1_P
    return keccak256(x.to_bytes(32, "big") + y.to_bytes(32, "big"))[12:]


def expanded(message: bytes, tag: bytes) -> bytes:
    """48 bytes of expand_message_xmd with SHA-256, RFC 9380, 5.3.1."""
    tag += bytes([len(tag)])
    first = sha256(bytes(64) + message + (48).to_bytes(2, "big") + b"\0" + tag).digest()
    one = sha256(first + b"\1" + tag).digest()
    mixed = (int.from_bytes(first, "big") ^ int.from_bytes(one, "big")).to_bytes(32, "big")
    two = sha256(mixed + b"\2" + tag).digest()
    return (one + two)[:48]


def k1_point(x: int) -> K1Point | None:
    """The point with this x and an even y; None when there is none."""
    if x >= K1_P:
        return None
    square = (pow(x, 3, K1_P) + 7) % K1_P
    y = pow(square, (K1_P + 1) // 4, K1_P)
    if y * y % K1_P != square:
        return None
    return x, (y if y % 2 == 0 else K1_P - y), 1


def k1_add(a: K1Point, b: K1Point) -> K1Point:
    """Sum in Jacobian coordinates (x/z^2, y/z^3)."""
    if a[2] == 0 or b[2] == 0:
        return b if a[2] == 0 else a
    za, zb = a[2] * a[2] % K1_P, b[2] * b[2] % K1_P
    ua, ub = a[0] * zb % K1_P, b[0] * za % K1_P
    sa, sb = a[1] * zb * b[2] % K1_P, b[1] * za * a[2] % K1_P
    if ua == ub:
        return k1_double(a) if sa == sb else K1_ZERO
    h, r = ub - ua, sb - sa
    hh = h * h % K1_P
    hhh, v = hh * h % K1_P, ua * hh % K1_P
    x = (r * r - hhh - 2 * v) % K1_P
    return x, (r * (v - x) - sa * hhh) % K1_P, h * a[2] * b[2] % K1_P


def k1_double(a: K1Point) -> K1Point:
    """A point twice; there is none with y = 0 on this curve."""
    yy = a[1] * a[1] % K1_P
    s, m = 4 * a[0] * yy % K1_P, 3 * a[0] * a[0] % K1_P
    x = (m * m - 2 * s) % K1_P
    return x, (m * (s - x) - 8 * yy * yy) % K1_P, 2 * a[1] * a[2] % K1_P


def k1_two_products(m: int, a: K1Point, n: int, b: K1Point) -> K1Point:
    """m*a + n*b, both in one go."""
    both, total = k1_add(a, b), K1_ZERO
    for bit in range(max(m.bit_length(), n.bit_length()) - 1, -1, -1):
        total = k1_double(total) if total[2] else total
        which = (m >> bit & 1) + 2 * (n >> bit & 1)
        if which:
            total = k1_add(total, (a, b, both)[which - 1])
    return total


# --- Addresses ------------------------------------------------------------------------------------------------------------

BECH32, BASE58 = (
    "qpzry9x8gf2tvdw0s3jn54khce6mua7l",
    "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
)


def taproot_address(prefix: str, output_key: bytes) -> str:
    """BIP350: witness version 1 and a key of 32 bytes, with Bech32m's checksum."""
    bits = int.from_bytes(output_key, "big") << 4  # 260, in words of 5
    words = [1, *(bits >> 5 * (51 - n) & 31 for n in range(52))]
    spread = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = 1
    for word in [*spread, *words, 0, 0, 0, 0, 0, 0]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ word
        for bit, part in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= part if top >> bit & 1 else 0
    check ^= 0x2BC830A3
    words += [check >> 5 * (5 - n) & 31 for n in range(6)]
    return prefix + "1" + "".join(BECH32[word] for word in words)


def base58(data: bytes) -> str:
    """Solana's addresses: the key, a leading zero byte being a leading 1."""
    rest, text = int.from_bytes(data, "big"), ""
    while rest:
        rest, digit = divmod(rest, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


SAFE_SETUP = bytes.fromhex("b63e800d")  # setup(address[],uint256,address,bytes,address,address,uint256,address)
SAFE_FACTORY = bytes.fromhex("4e1dcf7ad4e460cfd30791ccc4f9c8a4f820ec67")  # version 1.4.1, on every chain
SAFE_PROXY = bytes.fromhex(
    "e298282cefe913ab5d282047161268a8222e4bd4ed106300c547894bbefd31ee"
)  # of its code, for SafeL2


def safe_address(public_key: bytes) -> str:
    """Where a Safe 1.4.1 is that was made with these owners and this threshold, and nothing else (EIP-1014)."""
    sizes(SAFE, public_key.hex())
    owners = [public_key[at : at + 20] for at in range(1, len(public_key), 20)]
    if owners != sorted(set(owners)):
        raise Untrue(f"expected a Safe's owners once each, ascending, got {public_key.hex():.60}")
    words = [256, public_key[0], 0, 32 * (9 + len(owners)), 0, 0, 0, 0, len(owners)]
    words += [int.from_bytes(owner, "big") for owner in owners]
    setup = SAFE_SETUP + b"".join(word.to_bytes(32, "big") for word in [*words, 0])
    salt = keccak256(keccak256(setup) + bytes(32))
    return checksummed(keccak256(b"\xff" + SAFE_FACTORY + salt + SAFE_PROXY)[12:])


def checksummed(address: bytes) -> str:
    """An Ethereum address as text; which letters are capitals is a checksum (EIP-55)."""
    digits = address.hex()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(one.upper() if marks[n] > "7" else one for n, one in enumerate(digits))


def keccak256(data: bytes) -> bytes:
    """What Ethereum hashes with: FIPS 202's permutation and 136 bytes at a time, but another padding than SHA-3's."""
    padded = bytearray(data + b"\1" + bytes(135 - len(data) % 136))
    padded[-1] |= 0x80
    lanes = [0] * 25  # lane (x, y) is at x + 5 * y
    for block in range(0, len(padded), 136):
        for lane in range(17):
            lanes[lane] ^= int.from_bytes(padded[block + 8 * lane : block + 8 * lane + 8], "little")
        lanes = keccak_f(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def keccak_f(lanes: list[int]) -> list[int]:
    """FIPS 202, 3.3: 24 rounds of theta, rho and pi, chi, iota."""
    bits = 1  # the register of 3.2.5
    for _ in range(24):
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        lanes = [lane ^ columns[(n + 4) % 5] ^ turned(columns[(n + 1) % 5], 1) for n, lane in enumerate(lanes)]
        x, y, moved = 1, 0, [lanes[0]] * 25
        for t in range(24):
            to = y, (2 * x + 3 * y) % 5
            moved[to[0] + 5 * to[1]] = turned(lanes[x + 5 * y], (t + 1) * (t + 2) // 2 % 64)
            x, y = to
        lanes = [
            lane ^ ~moved[n // 5 * 5 + (n + 1) % 5] & moved[n // 5 * 5 + (n + 2) % 5] for n, lane in enumerate(moved)
        ]
        for power in range(7):
            if bits & 1:
                lanes[0] ^= 1 << (1 << power) - 1
            bits = bits << 1 ^ (0x171 if bits & 0x80 else 0)
    return lanes


def turned(lane: int, by: int) -> int:
    """64 bits, rotated to the left."""
    return (lane << by | lane >> 64 - by) & 0xFFFFFFFFFFFFFFFF


# --- The command ----------------------------------------------------------------------------------------------------------


def shown(units: int, decimals: int) -> str:
    """Minor units as people write them, exactly."""
    digits = str(units).rjust(decimals + 1, "0")
    return f"{digits[: len(digits) - decimals]}.{digits[len(digits) - decimals :]}" if decimals else digits


def named(asset: str) -> str:
    """An asset as it is shown: in quotes where its name could be taken for words of ours."""
    return asset if asset.isascii() and " " not in asset else ascii(asset)


def run(arguments: list[str] | None = None) -> list[str]:
    """What was found to be true, line by line. Raises Untrue, OSError, ValueError (no JSON), SystemExit (options)."""
    options = argparse.ArgumentParser(description="Check a proof of liabilities. See the first lines of this file.")
    options.add_argument("file", help="your proof, or a statement with --leaves or --reserves")
    options.add_argument("--user", help="your account: type it, do not take it from the proof")
    options.add_argument(
        "--key", help="the platform's public key, 64 hexadecimal digits, from elsewhere than the proof"
    )
    options.add_argument("--leaves", action="append", default=[], metavar="ASSET=FILE", help="all published leaves")
    options.add_argument("--reserves", metavar="FILE", help="what the keys of addresses have signed")
    given = options.parse_args(arguments)
    try:
        hexadecimal(given.key or "0" * 64, 32, "--key")
    except Untrue as reason:
        options.error(str(reason))
    with open(given.file, "rb") as file:  # noqa: PTH123 - this file stands alone and keeps its imports few
        document = json.load(file)
    said = []
    if given.user is not None:
        statement, balances = check_proof(document, given.user, given.key)
        for asset, units in sorted(balances.items()):
            amount = shown(units, statement["assets"][asset]["decimals"])
            said.append(f"{named(asset)}: {amount} of {given.user} is in the total")
    elif given.leaves or given.reserves:
        statement = check_signed(document, given.key)
    else:
        options.error("give --user with a proof, or --leaves or --reserves with a statement")
    for pair in given.leaves:
        asset, _, path = pair.partition("=")
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            check_leaves(statement, asset, file.read())
        said.append(f"{named(asset)}: the published leaves make the root and the total")
    if given.reserves:
        with open(given.reserves, "rb") as file:  # noqa: PTH123 - as above
            found = check_reserves(statement, json.load(file))
        for asset, facts in sorted(statement["assets"].items()):
            have, owed = found.get(asset, 0), int(facts["total"])
            words = f"reserves {shown(have, facts['decimals'])}, owed {shown(owed, facts['decimals'])}"
            if have < owed:
                raise Untrue(f"{named(asset)}: {words}: less than what is owed")
            said.append(f"{named(asset)}: {words}; look the addresses up on their chains")
    said.append(f"statement {statement_digest(statement).hex()} of epoch {statement['epoch_ms']} ms")
    if given.key is None:
        said.append(
            "NOT CHECKED: whose key signed it; compare the public key in the file with the published one (--key)"
        )
    return said


def main(arguments: list[str] | None = None) -> int:
    """Print what is true, or what is not; the exit code."""
    try:
        lines, code = run(arguments), 0
    except Untrue as reason:
        lines, code = [f"NOT TRUE: {reason}"], 1
    except (OSError, ValueError, RecursionError) as reason:
        lines, code = [f"cannot be read: {reason}"], 2
    # What cannot be printed stands in what was claimed, or is not in the terminal's alphabet: neither must hide the verdict.
    text = "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)
    alphabet = sys.stdout.encoding or "utf-8"
    print(text.encode(alphabet, "backslashreplace").decode(alphabet))  # noqa: T201 - a command
    return code


if __name__ == "__main__":
    sys.exit(main())
