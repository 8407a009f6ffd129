"""What a soak is asked for: how long, how much, which faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

#: What may be done to the workers, one after the other ...
TO_WORKERS = {
    "kill": "SIGKILL, and started again",
    "pause": "SIGSTOP for longer than the group's session, then SIGCONT",
    "join": "one more worker, which leaves after a while",
    "leave": "SIGTERM, and started again later",
}
#: ... and what may be in the load.
IN_LOAD = {
    "burst": "three times the rate for some seconds",
    "damage": "records that are no events",
    "repeat": "events that are sent twice",
}
FAULTS = TO_WORKERS | IN_LOAD


@dataclass(frozen=True)
class SoakOptions:
    """What the person asked for.

    Attributes:
        seconds: how long to load.
        seed: of the load and of the faults.
        rate: events per second.
        workers: how many processes share the work.
        faults: names of FAULTS.
        rules: rule files and folders; None: the packaged rules, and those of the soak.
        broker: whether to use the broker of the settings; False: an embedded one of our own.
    """

    seconds: float = 600.0
    seed: int = 7
    rate: int = 1000
    workers: int = 2
    faults: tuple[str, ...] = tuple(FAULTS)
    rules: tuple[Path, ...] | None = None
    broker: bool = False


def parse_faults(text: str) -> tuple[str, ...]:
    """The faults of ``--faults``: names separated by commas, ``all`` or ``none``.

    Raises:
        UsageError: there is no such fault.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    if names == ["all"]:
        return tuple(FAULTS)
    for name in names:
        if name not in FAULTS:
            raise UsageError(f"--faults: there is no fault {name!r}", f"there are: {', '.join(FAULTS)}; all; none")
    return tuple(name for name in FAULTS if name in names)
