"""What M1CEP costs, measured: ratios to decoding alone in one run. ``m1cep bench`` puts it together.

data       the events            rules    the rules, with the targets of the design
replays    files through rules   loops    long matches       keys   memory a key      flink   the same rules on Flink
measure    clocks and medians    figures  what was found     report, plot   how it is shown
"""
