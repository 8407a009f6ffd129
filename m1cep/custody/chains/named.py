"""A chain by the name that requests use: ``bitcoin:regtest``, ``solana:local``, ``evm:31337``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from m1cep.custody.chains.errors import ChainError

if TYPE_CHECKING:
    from m1cep.custody.chains.interface import Chain

_CHAIN_ID = re.compile("[1-9][0-9]{0,17}", re.ASCII)
_CLUSTER = re.compile("[a-z0-9-]{1,32}", re.ASCII)


def chain_named(name: str) -> Chain[Any]:
    """The chain, with its own default limits. A Safe is not made by name: it needs its proxy's code.

    Raises:
        ChainError: no such chain, or its extra is not installed.
    """
    kind, _, network = name.partition(":")
    try:
        if kind == "bitcoin":
            from m1cep.custody.chains.bitcoin.chain import NETWORKS, BitcoinChain

            for one in NETWORKS:
                if one.name == network:
                    return BitcoinChain(one)
        if kind == "solana" and _CLUSTER.fullmatch(network):
            from m1cep.custody.chains.solana import SolanaChain

            return SolanaChain(network)
        if kind == "evm" and _CHAIN_ID.fullmatch(network):
            from m1cep.custody.chains.evm.vault import EvmChain

            return EvmChain(int(network))
    except ModuleNotFoundError as error:
        raise ChainError(f"{name} needs {error.name}: install m1cep[custody-{kind}]") from None
    shown = repr(name if len(name) <= 60 else name[:57] + "...")
    raise ChainError(
        f"{shown} is no chain: expected bitcoin:mainnet, testnet or regtest, solana:CLUSTER, or evm:CHAIN_ID"
    )
