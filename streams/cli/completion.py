"""``m1cep completion``: Tab in bash, zsh and fish; and what values of arguments are completed by."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
import typer

from streams.cli.output import AsJson  # noqa: TC001 - typer reads the annotations

Shell = Literal["bash", "zsh", "fish"]
_COMMAND = "m1cep"
ASKED = "_M1CEP_COMPLETE"


def completion(shell: Annotated[Shell, typer.Argument(help="Of which shell.")], as_json: AsJson = False) -> None:
    """Print what makes a shell complete m1cep's commands, options, and names of topics, agents, streams, rules and lists.

    For ~/.bashrc: eval "$(m1cep completion bash)", and so for ~/.zshrc; for fish write it into
    ~/.config/fish/completions/m1cep.fish.

    Example: m1cep completion bash
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # there, and not said to be

    script = get_completion_script(prog_name=_COMMAND, complete_var=ASKED, shell=shell)
    typer.echo(orjson.dumps({"shell": shell, "script": script}) if as_json else script)


def prepare() -> None:
    """Have Typer answer the shells that it knows; it does so by itself only where it adds options of its own."""
    from typer.completion import completion_init  # type: ignore[attr-defined]  # there, and not said to be

    completion_init()


def topics(incomplete: str) -> list[str]:
    """Names of built-in topics."""
    from streams.topic_table import BUILT_IN

    return [topic.name for topic in BUILT_IN if topic.name.startswith(incomplete)]


def agents(incomplete: str) -> list[str]:
    """Names of agents, after those that are written already."""
    from streams.agents import AGENTS

    begun, comma, last = incomplete.rpartition(",")
    return [
        f"{begun}{comma}{name}" for name in sorted(AGENTS) if name.startswith(last) and name not in begun.split(",")
    ]


def streams(incomplete: str) -> list[str]:
    """Names of built-in streams with events."""
    from streams.files import load_streams

    found = load_streams(None)
    return [name for name, stream in found.items() if not stream.is_view and name.startswith(incomplete)]


def stream_files(incomplete: str) -> list[str]:
    """NAME= of ``--events NAME=FILE``."""
    return [f"{name}=" for name in streams(incomplete)] if "=" not in incomplete else []


def lists(incomplete: str) -> list[str]:
    """Names of the packaged lists, or those of the folder that is set."""
    from streams.config import load_settings
    from streams.files import packaged_rules_dir

    folder = (load_settings().lookups or packaged_rules_dir() / "lookups") / "lists"
    return sorted(file.stem for file in folder.glob(f"{incomplete}*.*"))


def rules(incomplete: str) -> list[str]:
    """Ids of the packaged rules: those of their files' names."""
    from streams.files import packaged_rules_dir

    return sorted(file.stem for file in packaged_rules_dir().glob("*/*.sql") if file.stem.startswith(incomplete))
