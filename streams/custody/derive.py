"""From an approved request to the transaction: made alike by every signer and by the coordinator, each for itself."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from m1cep.custody.chains.interface import Scheme, Transfer, state_from_json
from m1cep.custody.chains.named import chain_named
from m1cep.custody.frost import ED25519, SECP256K1, TAPROOT
from m1cep.custody.frost.taproot import tweak_public
from m1cep.errors import CustodyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.chains.interface import Chain, Unsigned
    from m1cep.custody.frost.keys import PublicKeys
    from m1cep.custody.frost.suite import Suite
    from m1cep.custody.request import Request
    from streams.custody.roster import Vault

_CHAIN_ID = re.compile("[1-9][0-9]{0,17}", re.ASCII)
_SUITES: dict[Scheme, Suite] = {Scheme.BIP340: TAPROOT, Scheme.ED25519: ED25519, Scheme.SECP256K1: SECP256K1}


@lru_cache(maxsize=64)
def chain_of(name: str) -> Chain[Any]:
    """The chain of this name. A Safe's rules need the Safe team's contracts, which are fetched once, by hash.

    Raises:
        CustodyError: there is none.
        PackageIndexError: the contracts are not there, and cannot be fetched.
    """
    kind, _, network = name.partition(":")
    if kind != "safe":
        return chain_named(name)
    if not _CHAIN_ID.fullmatch(network):
        raise CustodyError(f"{name!r:.60} is no chain: expected safe:CHAIN_ID")
    from m1cep.custody.chains.evm.safe import SafeChain
    from streams.chains.safe import safe_code
    from streams.config import load_settings

    return SafeChain(int(network), safe_code(load_settings().home / "safe")["proxy"])


def suite_of(chain: Chain[Any]) -> Suite:
    """The suite of the keys of vaults on this chain.

    Raises:
        CustodyError: its vaults have no shared key.
    """
    suite = _SUITES.get(chain.scheme)
    if suite is None:
        raise CustodyError(f"vaults on {chain.name} have no shared key: their signatures are {chain.scheme.value}")
    return suite


def signing_public(public: PublicKeys) -> PublicKeys:
    """The public keys that signatures are verified by: of taproot keys the output key's."""
    return tweak_public(public) if public.suite is TAPROOT else public


def derive(vaults: Mapping[str, Vault], group: bytes, request: Request, plan: bytes) -> Unsigned:
    """The transaction that a request and a plan mean.

    Amount, destination and deadline are the request's alone; the plan has what the chain's state was (coins, nonces, fees).

    Args:
        vaults: of the roster.
        group: the public key of the request's vault.
        request: what was approved.
        plan: ``state_to_json`` of the chain's state.

    Raises:
        CustodyError: the request does not fit its vault, or the plan gives no transaction of it: what, and why.
    """
    vault = vaults.get(request.vault)
    if vault is None:
        raise CustodyError(f"there is no vault {request.vault}; there are {', '.join(sorted(vaults)) or 'none'}")
    chain = chain_of(vault.chain)
    expected = {"chain": vault.chain, "account": vault.account, "asset": chain.asset.symbol}
    for field, value in expected.items():
        if (came := getattr(request, field)) != value:
            raise CustodyError(f"vault {request.vault} is for {field} {value}, the request is for {came}")
    transfer = Transfer(group, chain.destination(request.destination), request.units, request.expires_ms // 1_000)
    return chain.build(transfer, state_from_json(chain, plan))
