"""Safe 1.4.1 behind the chain interface: n owners with keys of their own, m of whom sign each transfer (ECDSA, no FROST).

For those who want the most used multisig contract instead of ours. ``vault_key`` is one byte for the threshold and the owners'
addresses, ascending. A Safe knows no deadline: what was signed stays good until its number is used, so expiry is the signers'
business alone (sign something else with the same number to be sure).

The contracts are the Safe's own (LGPL-3.0), at their addresses of every chain; ``streams/chains/safe.py`` gets them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from coincurve import PublicKey
from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from m1cep.custody.chains.errors import DestinationRefusedError, SignatureRefusedError, TransferRefusedError
from m1cep.custody.chains.evm.common import ETH, ZERO, call, create2, destination, enough
from m1cep.custody.chains.evm.vault import EvmState
from m1cep.custody.chains.interface import Scheme, Signed, ToSign, Transfer, Unsigned, check_chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.chains.amounts import Asset

# Where the Safe's contracts are on every chain (github.com/safe-global/safe-deployments, version 1.4.1, "canonical").
SINGLETON_FACTORY = "0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7"
SAFE_L2 = "0x29fcB43b46531BcA003ddC8FCB67FFE91900C762"
PROXY_FACTORY = "0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67"
PROXY_CODE = "1856e0ee08399d74e0ea0b03adca210aeade6f748969ac023cdcb4dd62dcaf5f"  # keccak256 of the proxy's init code
MOST_OWNERS = 50

_DOMAIN = keccak(text="EIP712Domain(uint256 chainId,address verifyingContract)")
_TRANSACTION = keccak(
    text="SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,"
    "uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
)
_EXECUTE = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
_BODY = ["address", "uint256", "address", "uint256", "uint8", "address[]"]


def safe_key(owners: Sequence[str], threshold: int) -> bytes:
    """What a Safe's address follows from, as ``vault_key``.

    Raises:
        TransferRefusedError: no or double owners, or a threshold that they cannot reach.
    """
    raw = sorted(bytes.fromhex(destination(owner)[2:]) for owner in owners)
    if len(set(raw)) != len(raw) or not 1 <= threshold <= len(raw) <= MOST_OWNERS:
        raise TransferRefusedError(f"a Safe needs 1 to {MOST_OWNERS} different owners and a threshold among them")
    return bytes([threshold]) + b"".join(raw)


@dataclass(frozen=True, slots=True)
class SafeChain:
    """Safes on the EVM chain of an id.

    Attributes:
        chain_id: of the chain.
        proxy_code: the init code of the Safe's proxy contract, from which addresses follow.
    """

    chain_id: int
    proxy_code: bytes = field(repr=False)
    name: str = field(init=False)

    asset: ClassVar[Asset] = ETH
    scheme: ClassVar[Scheme] = Scheme.ECDSA
    state_type: ClassVar[type[EvmState]] = EvmState

    def __post_init__(self) -> None:
        if keccak(self.proxy_code).hex() != PROXY_CODE:
            raise TransferRefusedError("this is not the proxy of Safe 1.4.1: the addresses would be nobody's")
        object.__setattr__(self, "name", f"safe:{self.chain_id}")

    def address(self, vault_key: bytes) -> str:
        """Of the Safe, whether it is there already or not."""
        salt: bytes = keccak(keccak(self._setup(vault_key)) + bytes(32))
        return create2(PROXY_FACTORY, salt, self.proxy_code + bytes(12) + bytes.fromhex(SAFE_L2[2:]))

    def creation(self, vault_key: bytes) -> bytes:
        """The call to the proxy factory that makes the Safe."""
        return call("createProxyWithNonce(address,bytes,uint256)", [SAFE_L2, self._setup(vault_key), 0])

    def destination(self, text: str) -> str:
        """The address in its canonical form."""
        return destination(text)

    def build(self, transfer: Transfer, state: EvmState) -> Unsigned:
        """A plain payment with the Safe's next number, no refund of gas."""
        amount, to = ETH.check(transfer.amount), destination(transfer.destination)
        safe = self.address(transfer.vault_key)
        threshold, owners = _owners(transfer.vault_key)
        if to == safe:
            raise DestinationRefusedError(f"{to} is the vault itself: nothing would move")
        enough(amount, state.balance)
        if state.nonce >= 2**64:
            raise TransferRefusedError(f"no Safe has made {state.nonce} transactions")
        domain = keccak(encode(["bytes32", "uint256", "address"], [_DOMAIN, self.chain_id, safe]))
        content = keccak(
            encode(
                ["bytes32", "address", "uint256", "bytes32", *["uint256"] * 4, "address", "address", "uint256"],
                [_TRANSACTION, to, amount, keccak(b""), 0, 0, 0, 0, ZERO, ZERO, state.nonce],
            )
        )
        return Unsigned(
            chain=self.name,
            body=encode(_BODY, [safe, state.nonce, to, amount, threshold, owners]),
            to_sign=(ToSign(self.scheme, keccak(b"\x19\x01" + domain + content), b""),),
            consumes=frozenset({f"{safe}:{state.nonce}"}),
            fee=0,
        )

    def attach(self, unsigned: Unsigned, signatures: Sequence[bytes]) -> Signed:
        """The signatures of at least as many owners as the threshold, in any order, each 65 bytes: r, s, v (27 or 28)."""
        check_chain(self.name, unsigned)
        safe, _, to, amount, threshold, owners = decode(_BODY, unsigned.body)
        digest = unsigned.to_sign[0].message
        known = {to_checksum_address(owner) for owner in owners}
        by_owner: dict[str, bytes] = {}
        for signature in signatures:
            owner = signer(signature, digest)
            if owner not in known:
                raise SignatureRefusedError(
                    f"a signature is of {owner}, who is no owner of this Safe (or it was tampered with)"
                )
            by_owner[owner] = signature
        if len(by_owner) < threshold:
            raise SignatureRefusedError(f"{threshold} owners must sign, {len(by_owner)} have")
        chosen = sorted(by_owner, key=lambda owner: int(owner, 16))[:threshold]
        payload = execution(safe, to, amount, b"".join(by_owner[owner] for owner in chosen))
        return Signed(self.name, payload, "0x" + digest.hex())

    def _setup(self, vault_key: bytes) -> bytes:
        threshold, owners = _owners(vault_key)
        return call(
            "setup(address[],uint256,address,bytes,address,address,uint256,address)",
            [owners, threshold, ZERO, b"", ZERO, ZERO, 0, ZERO],
        )


def execution(safe: str, to: str, amount: int, signatures: bytes) -> bytes:
    """The Safe's address and the call that brings it signatures; nothing is verified here."""
    return bytes.fromhex(safe[2:]) + call(_EXECUTE, [to, amount, b"", 0, 0, 0, 0, ZERO, ZERO, signatures])


def signer(signature: bytes, digest: bytes) -> str:
    """Who made an ECDSA signature.

    Raises:
        SignatureRefusedError: it is none.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise SignatureRefusedError("an owner's signature has 65 bytes: r, s and v, which is 27 or 28")
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except Exception:  # noqa: BLE001 - coincurve raises plain Exception for what cannot be recovered
        raise SignatureRefusedError("an owner's signature is none of this message") from None
    return address_of(key.format(compressed=False))


def address_of(public_key: bytes) -> str:
    """The address of an ordinary account by its uncompressed key."""
    checked: str = to_checksum_address(keccak(public_key[1:])[12:])
    return checked


def _owners(vault_key: bytes) -> tuple[int, list[str]]:
    raw = [vault_key[at : at + 20] for at in range(1, len(vault_key), 20)]
    if (
        not raw
        or len(vault_key) % 20 != 1
        or raw != sorted(set(raw))
        or not 1 <= vault_key[0] <= len(raw) <= MOST_OWNERS
    ):
        raise TransferRefusedError("a Safe's key is a threshold and its owners' addresses, ascending: see safe_key")
    return vault_key[0], [to_checksum_address(owner) for owner in raw]
