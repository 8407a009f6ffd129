"""Grid trading: plan a grid from history, run it on fills, and a paper exchange to run it on. All of it pure.

Prices are whole ticks and quantities whole lots of a :class:`Market`; money is a Decimal that is never rounded.
"""
