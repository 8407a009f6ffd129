"""What the commands of ``m1cep custody`` share."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.output import AsJson, say
from streams.errors import ServerError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from streams.custody.counter import Counter
    from streams.custody.mail import Pen
    from streams.custody.roster import Roster

RosterFile = Annotated[Path, typer.Option("--custody", help="Who is who (TOML).")]
As = Annotated[str, typer.Option("--as", help="Your name in the policy, or among the roster's requesters.")]
Key = Annotated[Path, typer.Option(help="Your key: m1cep custody key FILE makes one.")]
VaultName = Annotated[str, typer.Argument(help="Of the vault, in the roster.")]

__all__ = [
    "ROSTER",
    "WIDTH",
    "As",
    "AsJson",
    "Key",
    "RosterFile",
    "VaultName",
    "check_answered",
    "counter_for",
    "new_id",
    "roster_of",
    "say",
    "who",
]

ROSTER = Path("custody.toml")
WIDTH = 140  # at least: a file or a pipe has no width of its own


def roster_of(file: Path) -> Roster:
    """Who is who."""
    from streams.custody.roster import load_roster

    return load_roster(file)


def who(roster: Path, name: str, key: Path) -> tuple[Roster, Pen]:
    """The roster, and whoever asks."""
    from streams.custody.seeds import load_pen

    return roster_of(roster), load_pen(name, key)


def counter_for(roster: Roster, *, history: bool = False) -> AbstractContextManager[Counter]:
    """The counter of the broker of the settings; with history: all that was ever said is read."""
    from streams.config import load_settings
    from streams.custody.counter import open_counter

    return open_counter(load_settings(), roster, history=history)


def new_id() -> str:
    """Of something asked for."""
    return uuid.uuid4().hex[:16]


def check_answered(came: bool) -> None:
    """Raises ServerError when the coordinator has not answered."""
    if not came:
        raise ServerError(
            "the coordinator has not answered; what was asked for stays in the topic and will be heard",
            "is it running? m1cep worker --agents custody; what it refuses is in m1cep.dead-letters.v1",
        )
