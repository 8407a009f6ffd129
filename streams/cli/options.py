"""Options that commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli import completion as complete

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
