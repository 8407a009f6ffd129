"""Chains for the tests of custody: each with vaults held by three of five, strangers to pay, and ways to cheat."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey
from frostworld import dealt, seeded, signed
from nacl.signing import SigningKey

from m1cep.custody.chains.interface import Scheme, Signed, Transfer, Unsigned
from m1cep.custody.frost import ED25519, SECP256K1, TAPROOT
from m1cep.custody.frost.taproot import tweak_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.chains.interface import ToSign
    from m1cep.custody.frost.keys import KeyShare

NOW_S = 1_800_000_000
SUITES = {Scheme.BIP340: TAPROOT, Scheme.ED25519: ED25519, Scheme.SECP256K1: SECP256K1}


class Group:
    """Five signers, of whom three must sign."""

    def __init__(self, scheme: Scheme, seed: object) -> None:
        self.random = seeded(("group", scheme, seed))
        self.shares: dict[int, KeyShare] = dealt(SUITES[scheme], 3, range(1, 6), self.random)
        self.key = self.shares[1].public.group

    def sign(self, wanted: ToSign) -> list[bytes]:
        """By three of them, each with what it derives from its own share."""
        shares = self.shares
        if wanted.scheme is Scheme.BIP340:
            shares = {number: tweak_share(share) for number, share in shares.items()}
        return [signed(shares, (1, 3, 4), wanted.message, self.random)]


class Owners:
    """Five owners of a Safe, of whom three sign with keys of their own."""

    def __init__(self, seed: object) -> None:
        from m1cep.custody.chains.evm.safe import address_of, safe_key

        random = seeded(("owners", seed))
        self.keys = [PrivateKey(random(32)) for _ in range(5)]
        self.addresses = [address_of(key.public_key.format(compressed=False)) for key in self.keys]
        self.key = safe_key(self.addresses, 3)

    def sign(self, wanted: ToSign) -> list[bytes]:
        return [ecdsa(self.keys[owner], wanted.message) for owner in (0, 2, 3)]


def ecdsa(key: PrivateKey, digest: bytes) -> bytes:
    """As wallets write it: r, s, v."""
    made = key.sign_recoverable(digest, hasher=None)
    return made[:64] + bytes([27 + made[64]])


@dataclass
class World:
    """A chain and what tests need to know of it.

    Attributes:
        node: the chain.
        other: another network of the same kind.
        some: an amount that everybody can have, in minor units.
    """

    node: Any
    other: Any
    some: int

    def __post_init__(self) -> None:
        self._numbers = itertools.count()

    @property
    def chain(self) -> Any:
        return self.node.chain

    def vault(self, funds: int = 0, *, node: Any = None, seed: object = None) -> Any:
        """A new one, open, with that many minor units."""
        node = node or self.node
        seed = next(self._numbers) if seed is None else seed
        vault = Owners(seed) if self.chain.scheme is Scheme.ECDSA else Group(self.chain.scheme, seed)
        node.open_vault(vault.key)
        if funds:
            node.fund(node.chain.address(vault.key), funds)
            node.advance()
        return vault

    def stranger(self) -> str:
        """Address of somebody else."""
        random = seeded(("stranger", next(self._numbers)))
        if self.chain.scheme is Scheme.BIP340:
            return self.chain.address(PrivateKey(random(32)).public_key.format())
        if self.chain.scheme is Scheme.ED25519:
            return self.chain.address(bytes(SigningKey(random(32)).verify_key))
        from m1cep.custody.chains.evm.safe import address_of

        return address_of(PrivateKey(random(32)).public_key.format(compressed=False))

    def transfer(self, vault: Any, destination: str, amount: int) -> Transfer:
        return Transfer(vault.key, destination, amount, NOW_S + 600)

    def has(self, address: str) -> int:
        """What an address that is no vault has, by the chain's own books."""
        if self.chain.scheme is Scheme.BIP340:
            script = self.chain.destination_script(address)
            return sum(coin.amount for coin in self.node._coins.values() if coin.script == script)
        if self.chain.scheme is Scheme.ED25519:
            return self.node._svm.get_balance(self.chain.destination_account(address)) or 0
        return self.node.machine.balance(address)

    def sign(self, vault: Any, unsigned: Unsigned) -> list[bytes]:
        return [signature for wanted in unsigned.to_sign for signature in vault.sign(wanted)]

    def forged(self, unsigned: Unsigned, signatures: Sequence[bytes]) -> bytes:
        """What ``attach`` would give if it verified nothing."""
        if self.chain.scheme is Scheme.BIP340:
            from m1cep.custody.chains.bitcoin.transaction import with_witnesses

            return with_witnesses(unsigned.body, [[signature] for signature in signatures])
        if self.chain.scheme is Scheme.ED25519:
            return b"\x01" + signatures[0] + unsigned.body
        if self.chain.scheme is Scheme.SECP256K1:
            from m1cep.custody.chains.evm.vault import release

            return release(unsigned.body, signatures[0])
        from eth_abi import decode

        from m1cep.custody.chains.evm import safe

        to, _, destination, amount, *_ = decode(safe._BODY, unsigned.body)
        ordered = sorted(signatures, key=lambda one: int(safe.signer(one, unsigned.to_sign[0].message), 16))
        return safe.execution(to, destination, amount, b"".join(ordered))

    def chain_takes(self, payload: bytes, node: Any = None) -> bool:
        """Whether the chain's software itself lets a transaction happen, whatever we think of it."""
        node = node or self.node
        if self.chain.scheme is Scheme.BIP340:
            height = node.height
            took = node.mine([payload])
            assert node.height == height + took
            return took
        from m1cep.custody.chains.errors import ChainRefusedError

        try:
            node.send(payload)
        except ChainRefusedError:
            return False
        return True

    def release(self, vault: Any, destination: str, amount: int) -> Signed:
        """From approved to broadcast."""
        unsigned = self.chain.build(self.transfer(vault, destination, amount), self.node.state(vault.key))
        done = self.chain.attach(unsigned, self.sign(vault, unsigned))
        self.node.broadcast(done)
        return done


def bitcoin() -> World:
    from streams.chains.bitcoin import LocalBitcoin

    return World(LocalBitcoin(), LocalBitcoin(salt=1), 1_000_000)


def solana() -> World:
    from streams.chains.solana import LocalSolana

    return World(LocalSolana(), LocalSolana(salt=1), 10**9)


def evm() -> World:
    from streams.chains.evm import EvmMachine, LocalEvm

    return World(LocalEvm(EvmMachine(1, _clock)), LocalEvm(EvmMachine(2, _clock)), 10**18)


def safe(code: dict[str, bytes]) -> World:
    from streams.chains.evm import EvmMachine, LocalSafe

    return World(LocalSafe(EvmMachine(1, _clock), code), LocalSafe(EvmMachine(2, _clock), code), 10**18)


def _clock() -> float:
    return NOW_S
