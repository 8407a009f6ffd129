"""A grid for tests with real processes: three levels either way around 64,000.00."""

from decimal import Decimal

from m1cep.grid.machine import GridSpec, Rung
from m1cep.grid.orders import Market

SPEC = GridSpec(
    market=Market("BTC-USD", Decimal("0.01"), Decimal("0.00000001"), Decimal(1), Decimal("0.00005"), Decimal("0.0005")),
    centre_ticks=6_400_000,
    up=(Rung(lots=1_000_000, ticks=2_000),) * 3,
    down=(Rung(lots=1_000_000, ticks=2_000),) * 3,
    cash=Decimal(10_000),
    lots=10_000_000,
)
