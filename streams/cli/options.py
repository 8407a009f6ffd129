"""Options that commands have in common."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from streams.cli import completion as complete
from streams.errors import UsageError

Streams = Annotated[Path | None, typer.Option(help="Stream declarations (SQL); default: the built-in streams.")]
Lookups = Annotated[
    Path | None, typer.Option(help="Folder of lists and parameters; default: M1CEP_LOOKUPS, else the packaged ones.")
]
RuleFile = Annotated[Path, typer.Argument(help="A rule file.")]

# -- of commands about the rules of running workers

RuleId = Annotated[str, typer.Argument(help="Id of the rule.", autocompletion=complete.rules)]
RunningRules = Annotated[
    list[Path] | None,
    typer.Option(
        "--rules", help="Rule files or folders that the workers were started with; default: the packaged ones."
    ),
]
Group = Annotated[str, typer.Option(help="Prefix of the workers' consumer groups.")]
By = Annotated[str | None, typer.Option(help="Who decides; default: the user of this machine.")]
Note = Annotated[str, typer.Option(help="Why, for those who read the rule's history.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until all workers have it.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the workers.")]

# -- of commands about alerts

BEFORE_HELP = (
    "Only those from before: a date, a date and time (UTC unless it has an offset), or how long ago, such as '30 d'."
)


def before_ms(text: str) -> int:
    """The moment that ``--before`` names, epoch ms.

    Raises:
        UsageError: it is none.
    """
    from m1cep.model.time import parse_duration_us, parse_time

    try:
        return time.time_ns() // 1_000_000 - parse_duration_us(text) // 1_000
    except ValueError:
        pass
    try:
        return parse_time(text, "ms")
    except ValueError:
        raise UsageError(
            f"--before expects a moment such as 2026-05-01, '2026-05-01 12:00:00' or '30 d', got {text[:40]!r}"
        ) from None
