# pragma version 0.4.3
# pragma evm-version cancun
"""
@title A vault whose money moves on a FROST(secp256k1, SHA-256) signature of its group
@notice RFC 9591, section 6.5. The signature is R (given as both coordinates) and z; it is valid when z*G = R + c*P with
        c = H2(R || P || digest). Unaudited.

The digest binds the chain, this contract, the nonce, recipient, amount and deadline: a signature is good for one transfer,
here, once, in time. Anyone may bring it; who brings it pays the gas and gains nothing.

z*G - c*P is computed by ecrecover: with m = -z*px, r = px, s = -c*px and v the parity of P it answers the address of
(s*P - m*G) / r = z*G - c*P. That address must be the address of R.
"""

event Deposited:
    sender: indexed(address)
    amount: uint256

event Released:
    digest: indexed(bytes32)
    nonce: uint256
    to: indexed(address)
    amount: uint256

# Order of the group and of the field of secp256k1.
N: constant(uint256) = 115792089237316195423570985008687907852837564279074904382605163141518161494337
P: constant(uint256) = max_value(uint256) - 2**32 - 976
TAG: constant(bytes32) = keccak256("M1CEP vault release v1")
# expand_message_xmd (RFC 9380) with the tag of H2, its length behind it; and SHA-256's block of zeros.
DST: constant(Bytes[30]) = b"FROST-secp256k1-SHA256-v1chal\x1d"
ZEROS: constant(Bytes[64]) = b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

KEY_X: public(immutable(uint256))
KEY_ODD: public(immutable(bool))
nonce: public(uint256)


@deploy
@payable
def __init__(key_x: uint256, key_odd: bool):
    # ecrecover takes x as a scalar: it must be one. Of all keys, one in 2^128 is refused.
    assert key_x > 0 and key_x < N, "key"
    KEY_X = key_x
    KEY_ODD = key_odd
    # The address is known before the contract is there: what came meanwhile is a deposit too.
    if self.balance > 0:
        log Deposited(sender=self, amount=self.balance)


@external
@payable
def __default__():
    log Deposited(sender=msg.sender, amount=msg.value)


@external
@view
def release_digest(to: address, amount: uint256, deadline: uint256) -> bytes32:
    """
    @notice What the group signs for the next release; reverts when that could not happen now.
    """
    self._check(amount, deadline)
    return self._digest(self.nonce, to, amount, deadline)


@external
@nonreentrant
def release(to: address, amount: uint256, deadline: uint256, r_x: uint256, r_y: uint256, z: uint256):
    """
    @notice Pay amount to to, by the group's signature of this vault's next release.
    """
    self._check(amount, deadline)
    used: uint256 = self.nonce
    digest: bytes32 = self._digest(used, to, amount, deadline)
    assert self._verifies(digest, r_x, r_y, z), "signature"
    self.nonce = used + 1
    log Released(digest=digest, nonce=used, to=to, amount=amount)
    raw_call(to, b"", value=amount)


@internal
@view
def _check(amount: uint256, deadline: uint256):
    assert block.timestamp <= deadline, "deadline"
    assert amount > 0, "amount"
    assert amount <= self.balance, "balance"


@internal
@view
def _digest(nonce: uint256, to: address, amount: uint256, deadline: uint256) -> bytes32:
    return keccak256(abi_encode(TAG, chain.id, self, nonce, to, amount, deadline))


@internal
@view
def _verifies(digest: bytes32, r_x: uint256, r_y: uint256, z: uint256) -> bool:
    if z == 0 or z >= N:
        return False
    # R must be on the curve. Its address alone would not do: with y free, a collision of addresses (2^80 work) would forge.
    if r_x >= P or r_y >= P:
        return False
    if uint256_mulmod(r_y, r_y, P) != uint256_addmod(uint256_mulmod(uint256_mulmod(r_x, r_x, P), r_x, P), 7, P):
        return False
    c: uint256 = self._challenge(digest, r_x, r_y)
    if c == 0:
        return False
    m: bytes32 = convert(N - uint256_mulmod(z, KEY_X, N), bytes32)
    s: uint256 = N - uint256_mulmod(c, KEY_X, N)
    v: uint256 = 28 if KEY_ODD else 27
    found: address = ecrecover(m, v, KEY_X, s)
    r_hash: uint256 = convert(keccak256(concat(convert(r_x, bytes32), convert(r_y, bytes32))), uint256)
    return found != empty(address) and convert(found, uint256) == r_hash & (2**160 - 1)


@internal
@view
def _challenge(digest: bytes32, r_x: uint256, r_y: uint256) -> uint256:
    # H2: 48 bytes of expand_message_xmd over R || P || digest, modulo N.
    r_mark: bytes1 = 0x03 if r_y % 2 == 1 else 0x02
    key_mark: bytes1 = 0x03 if KEY_ODD else 0x02
    first: bytes32 = sha256(
        concat(
            ZEROS, r_mark, convert(r_x, bytes32), key_mark, convert(KEY_X, bytes32), digest, b"\x00\x30\x00", DST
        )
    )
    high: bytes32 = sha256(concat(first, b"\x01", DST))
    mixed: bytes32 = convert(convert(first, uint256) ^ convert(high, uint256), bytes32)
    low: bytes32 = sha256(concat(mixed, b"\x02", DST))
    return uint256_addmod(
        uint256_mulmod(convert(high, uint256), 2**128, N), convert(low, uint256) >> 128, N
    )
