"""The vault contract behind the chain interface (``vault.vy`` is its source, ``vault_code`` what that compiles to).

The address follows from the group's key alone: the contract is made by the deterministic deployment proxy, which most EVM chains
have at the same place, so money can be sent to a vault before it is made. Whoever brings a release pays its gas; the vault
pays the amount and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec
from coincurve import PublicKey
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from m1cep.custody.chains.errors import DestinationRefusedError, SignatureRefusedError, TransferRefusedError
from m1cep.custody.chains.evm.common import ETH, call, create2, destination, enough
from m1cep.custody.chains.evm.vault_code import VAULT_INIT_CODE
from m1cep.custody.chains.interface import Scheme, Signed, ToSign, Transfer, Unsigned, check_chain
from m1cep.custody.frost import SECP256K1
from m1cep.custody.frost.errors import EncodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.chains.amounts import Asset

DEPLOYER = "0x4e59b44847b379578588920cA78FbF26c0B4956C"  # github.com/Arachnid/deterministic-deployment-proxy
_SALT = bytes(32)
_TAG = keccak(text="M1CEP vault release v1")
_BODY = ["bytes32", "uint256", "address", "uint256", "address", "uint256", "uint256"]


class EvmState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of releases so far, and the vault's wei."""

    nonce: Annotated[int, msgspec.Meta(ge=0)]
    balance: Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class EvmChain:
    """An EVM chain by its chain id."""

    chain_id: int
    name: str = field(init=False)

    asset: ClassVar[Asset] = ETH
    scheme: ClassVar[Scheme] = Scheme.SECP256K1
    state_type: ClassVar[type[EvmState]] = EvmState

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"evm:{self.chain_id}")

    def address(self, vault_key: bytes) -> str:
        """Of the vault's contract, whether it is there already or not."""
        return create2(DEPLOYER, _SALT, self.init_code(vault_key))

    def init_code(self, vault_key: bytes) -> bytes:
        """What makes the vault's contract.

        Raises:
            TransferRefusedError: no compressed point of secp256k1, or the one in 2^128 that ecrecover cannot take.
        """
        try:
            x, y = PublicKey(SECP256K1.deserialize_element(vault_key)).point()
        except EncodingError as error:
            raise TransferRefusedError(f"no key of an EVM vault: {error}") from None
        if x >= SECP256K1.order:
            raise TransferRefusedError("the contract cannot verify under this key (one in 2^128): generate another")
        arguments: bytes = encode(["uint256", "bool"], [x, y % 2 == 1])
        return VAULT_INIT_CODE + arguments

    def destination(self, text: str) -> str:
        """The address in its canonical form; it is the same on every EVM chain, the signature is not."""
        return destination(text)

    def build(self, transfer: Transfer, state: EvmState) -> Unsigned:
        """The release with the vault's next number."""
        amount, to = ETH.check(transfer.amount), destination(transfer.destination)
        vault = self.address(transfer.vault_key)
        if to == vault:
            raise DestinationRefusedError(f"{to} is the vault itself: nothing would move")
        if not 0 < transfer.deadline_s < 2**64:
            raise TransferRefusedError(
                f"a release on an EVM chain needs a deadline in Unix seconds, got {transfer.deadline_s}"
            )
        enough(amount, state.balance)
        if state.nonce >= 2**64:
            raise TransferRefusedError(f"no vault has made {state.nonce} releases")
        body: bytes = encode(_BODY, [_TAG, self.chain_id, vault, state.nonce, to, amount, transfer.deadline_s])
        return Unsigned(
            chain=self.name,
            body=body,
            to_sign=(ToSign(self.scheme, keccak(body), transfer.vault_key),),
            consumes=frozenset({f"{vault}:{state.nonce}"}),
            fee=0,
        )

    def attach(self, unsigned: Unsigned, signatures: Sequence[bytes]) -> Signed:
        """One signature: R compressed and z. The payload is the contract's address and the data of the call."""
        check_chain(self.name, unsigned)
        if len(signatures) != 1:
            raise SignatureRefusedError(f"expected 1 signature, got {len(signatures)}")
        wanted, signature = unsigned.to_sign[0], bytes(signatures[0])
        if not SECP256K1.verify(wanted.public_key, wanted.message, signature):
            raise SignatureRefusedError("the signature does not verify under the vault's key")
        return Signed(self.name, release(unsigned.body, signature), "0x" + wanted.message.hex())


def release(body: bytes, signature: bytes) -> bytes:
    """The vault's address and the call that brings it a signature; nothing is verified here."""
    words = [body[at : at + 32] for at in range(0, len(body), 32)]
    r_x, r_y = PublicKey(signature[:33]).point()
    number = [int.from_bytes(word, "big") for word in words]
    data = call(
        "release(address,uint256,uint256,uint256,uint256,uint256)",
        [words[4][12:], number[5], number[6], r_x, r_y, int.from_bytes(signature[33:], "big")],
    )
    return words[2][12:] + data
