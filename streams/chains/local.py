"""Chains of one's own, by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from m1cep.custody.chains.interface import LocalNode

KINDS = ("bitcoin", "solana", "evm", "safe")


def open_local(kind: str, safe_folder: Path | None = None) -> LocalNode[Any]:
    """A new chain of that kind, with a faucet; close it after.

    Args:
        kind: of ``KINDS``.
        safe_folder: where the Safe's contracts are kept once they were fetched.

    Raises:
        UsageError: no such kind, or its extra is not installed.
        PackageIndexError: the Safe's contracts cannot be fetched.
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
        if kind == "safe":
            from streams.chains.evm import LocalSafe
            from streams.chains.evm_machine import EvmMachine
            from streams.chains.safe import safe_code

            return LocalSafe(EvmMachine(), safe_code(safe_folder))
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a local {kind} chain needs {error.name}", f"install m1cep[custody-{'evm' if kind == 'safe' else kind}]"
        ) from None
    raise UsageError(f"expected one of {', '.join(KINDS)}, got {kind!r}")
