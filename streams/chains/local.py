"""Chains of one's own, by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.errors import UsageError

if TYPE_CHECKING:
    from m1cep.custody.chains.interface import LocalNode

KINDS = ("bitcoin", "solana", "evm")


def open_local(kind: str) -> LocalNode[Any]:
    """A new chain of that kind, with a faucet; close it after.

    Raises:
        UsageError: no such kind, or its extra is not installed.
    """
    try:
        if kind == "bitcoin":
            from streams.chains.bitcoin import LocalBitcoin

            return LocalBitcoin()
        if kind == "solana":
            from streams.chains.solana import LocalSolana

            return LocalSolana()
        if kind == "evm":
            from streams.chains.evm import LocalEvm

            return LocalEvm()
    except ModuleNotFoundError as error:
        raise UsageError(f"a local {kind} chain needs {error.name}", f"install m1cep[custody-{kind}]") from None
    raise UsageError(f"expected one of {', '.join(KINDS)}, got {kind!r}")
