"""A planned grid tried out on history: the real state machine against the paper exchange, under a simulated clock.

path     a history as prices in ticks, in the order in which they are taken to have come
link     the grid, its venue, and the time that messages take between them
walk     the market's way along the path: what it reaches is traded, and in between the grid does its work
curve    what the account was worth at every point, exactly
run      split, plan on the first part, walk both parts, compare with buy-and-hold
result   what came of it
"""

from m1cep.grid.backtest.curve import Curve, Drawdown
from m1cep.grid.backtest.result import Backtest, Hold, Part
from m1cep.grid.backtest.run import BacktestOptions, backtest

__all__ = ["Backtest", "BacktestOptions", "Curve", "Drawdown", "Hold", "Part", "backtest"]
