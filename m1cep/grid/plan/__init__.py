"""A grid from history: how dense upwards and downwards, how far, how much on each level. Pure; needs the extra ``grid``.

history     trades or candles, checked
excursions  how far the price goes within a horizon, and how differently up and down
width       the step, by counting moves
levels      prices: ticks, spacing, fee floor
sizing      quantities: lots, capital, neutrality
planner     all of it in order
explain     how each number was got, in words
result      what comes out
"""

from m1cep.grid.plan.history import History, Kind
from m1cep.grid.plan.levels import Spacing
from m1cep.grid.plan.options import PlanOptions
from m1cep.grid.plan.planner import plan_grid
from m1cep.grid.plan.result import Evidence, GridPlan, Level, Reason
from m1cep.grid.plan.sizing import Sizing

__all__ = [
    "Evidence",
    "GridPlan",
    "History",
    "Kind",
    "Level",
    "PlanOptions",
    "Reason",
    "Sizing",
    "Spacing",
    "plan_grid",
]
