"""Amounts as people write them, to whole minor units, exactly."""

from __future__ import annotations

import re
from dataclasses import dataclass

from m1cep.custody.chains.errors import AmountRefusedError

_AMOUNT = re.compile(r"([0-9]{1,40})(?:\.([0-9]{1,40}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asset:
    """What is moved, and how finely it divides.

    Attributes:
        symbol: such as BTC.
        unit: name of the minor unit, such as satoshi.
        decimals: minor units are 10 ** -decimals of the asset.
        most: largest amount that the chain can hold, in minor units.
    """

    symbol: str
    unit: str
    decimals: int
    most: int

    def parse(self, text: str) -> int:
        """Minor units of an amount such as ``0.015``: digits, at most one point, nothing else.

        Raises:
            AmountRefusedError: not such a number, zero, more decimals than the asset has, or more than there can be.
        """
        match = _AMOUNT.fullmatch(text)
        if match is None:
            shown = text if len(text) <= 40 else text[:37] + "..."
            raise AmountRefusedError(f"expected an amount of {self.symbol} such as 0.5, got {shown!r}")
        whole, fraction = match[1], match[2] or ""
        if len(fraction) > self.decimals:
            raise AmountRefusedError(
                f"{self.symbol} has {self.decimals} decimals, {text} has {len(fraction)}: round it yourself"
            )
        return self.check(int(whole) * 10**self.decimals + int(fraction.ljust(self.decimals, "0") or "0"))

    def check(self, amount: int) -> int:
        """The amount again, in minor units.

        Raises:
            AmountRefusedError: no integer above zero, or more than there can be.
        """
        if type(amount) is not int:
            raise AmountRefusedError(
                f"an amount of {self.symbol} is an integer of {self.unit}s, got {type(amount).__name__}"
            )
        if amount <= 0:
            raise AmountRefusedError(f"an amount of {self.symbol} must be above zero, got {amount} {self.unit}s")
        if amount > self.most:
            raise AmountRefusedError(f"{amount} {self.unit}s is more {self.symbol} than there can be")
        return amount

    def show(self, amount: int) -> str:
        """The amount as people write it: ``1.5 BTC``, no trailing zeros."""
        whole, fraction = divmod(amount, 10**self.decimals)
        decimals = f"{fraction:0{self.decimals}d}".rstrip("0") if self.decimals else ""
        return f"{whole}.{decimals} {self.symbol}" if decimals else f"{whole} {self.symbol}"
