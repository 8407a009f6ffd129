"""A grid that runs: events in, commands for the venue out. No clock, no randomness, no I/O.

spec     what the grid is told to be
events   what it hears besides the venue's reports
state    what it remembers, all of it plain values
books    money: cash, position, fees, matched pairs
ladder   levels from a centre and the books
reports  what a venue's report changes
life     from one state to the next: cancel, barrier, build, place
pump     which commands are due, and how many may go now
grid     the whole: :class:`Grid`
"""

from m1cep.grid.machine.events import Event, Halt, Pause, Price, Reconnected, Resume, Start, Stop, Tick
from m1cep.grid.machine.grid import Grid
from m1cep.grid.machine.spec import GridSpec, Rung
from m1cep.grid.machine.state import Mode, Phase, Quarantined

__all__ = [
    "Event",
    "Grid",
    "GridSpec",
    "Halt",
    "Mode",
    "Pause",
    "Phase",
    "Price",
    "Quarantined",
    "Reconnected",
    "Resume",
    "Rung",
    "Start",
    "Stop",
    "Tick",
]
