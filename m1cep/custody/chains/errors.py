"""What can be wrong with a transfer, and who says so.

ChainError
├── AmountRefusedError       an amount that is no amount of this asset: zero, too many decimals, not a number
├── DestinationRefusedError  an address that is none, or of another network
├── TransferRefusedError     a transfer that cannot be built from these facts: not enough coins, a fee above the limit
├── SignatureRefusedError    a signature that does not verify: it would be wasted on the chain
└── ChainRefusedError        the chain's own software said no
"""

from __future__ import annotations

from m1cep.errors import CustodyError


class ChainError(CustodyError):
    """A transfer that does not go through; the message says what was expected, what came, and the remedy."""


class AmountRefusedError(ChainError):
    """An amount that is no amount of this asset."""


class DestinationRefusedError(ChainError):
    """An address that is none, belongs to another network, or from which nothing could be had back."""


class TransferRefusedError(ChainError):
    """A transfer that cannot be built from the facts given."""


class SignatureRefusedError(ChainError):
    """A signature that does not verify under the vault's key."""


class ChainRefusedError(ChainError):
    """The chain's software refused; ``reason`` has its own words.

    Attributes:
        chain: which one.
        reason: what it said.
    """

    def __init__(self, chain: str, reason: str) -> None:
        self.chain = chain
        self.reason = " ".join(reason.split())
        super().__init__(f"{chain} refuses: {self.reason}")
