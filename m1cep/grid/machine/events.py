"""What a grid hears besides the venue's reports."""

from __future__ import annotations

from dataclasses import dataclass

from m1cep.grid.orders import Report


@dataclass(frozen=True, slots=True)
class Tick:
    """The time, from whoever keeps a clock. The grid knows no other; one that goes back is ignored."""

    time_ms: int


@dataclass(frozen=True, slots=True)
class Price:
    """What the market trades at.

    Attributes:
        time_ms: by the market. One that is not newer than the last is ignored.
    """

    time_ms: int
    ticks: int


@dataclass(frozen=True, slots=True)
class Start:
    """Begin: ask the venue what is open, then build the first generation (at once, or when the trigger price is reached).

    Attributes:
        request_id: of this request; said twice it counts once. The same for the others.
    """

    request_id: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Cancel everything and wait for :class:`Resume`."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after a pause or a halt, from the newest price known."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Cancel everything, for good."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Halt:
    """Cancel everything and wait, because of an alert. Said twice, the alert halts once."""

    alert_id: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection to the venue was gone: messages may be lost both ways. Ask, do not assume."""

    request_id: str


Request = Start | Pause | Resume | Stop | Halt | Reconnected
Event = Tick | Price | Request | Report
