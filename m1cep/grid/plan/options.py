"""What is decided by whoever trades."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from m1cep.grid.plan.levels import Spacing
from m1cep.grid.plan.sizing import Sizing


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What is decided by whoever trades.

    Attributes:
        capital: in quote: cash for the buys, and what the inventory for the sells costs.
        per_level: of each buy, in base (sizing base) or in quote (the others); None: as much as the capital pays for.
        horizon_ms: how far excursions are looked for; None: 24 hours, or an eighth of the history where that is less.
        fee_margin: steps are at least so many times those that only pay their fees.
        max_orders: open at once, at least 2.
        max_gap_ms: in the history; None: five candles, or for trades a tenth of the history.
        centre: price in the middle; None: the newest of the history.
    """

    capital: Decimal
    sizing: Sizing = Sizing.QUOTE
    spacing: Spacing = Spacing.GEOMETRIC
    per_level: Decimal | None = None
    horizon_ms: int | None = None
    fee_margin: Decimal = Decimal("1.5")
    max_orders: int = 40
    max_gap_ms: int | None = None
    centre: Decimal | None = None
