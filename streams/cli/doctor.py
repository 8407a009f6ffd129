"""``m1cep doctor``: what is installed, what is set, what can be reached."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from streams.cli.output import AsJson  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from streams.doctor import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_UNSET = "not set (default)"
_WIDTH = 140  # at least: a file or a pipe has no width of its own


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the package index.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at this installation: Python and packages, settings and where each came from, broker, cache, databases, machine.

    Changes nothing; passwords are not shown. Exit code 0: nothing that is asked for fails; 3: only servers fail; 1: something
    else does. A warning says what would not work, and what to do if you need it.

    Example: m1cep doctor --json
    """
    from streams.doctor import examine, exit_code

    findings: list[Finding] = []
    for one in examine(offline=offline):
        findings.append(one)
        if as_json:
            typer.echo(orjson.dumps({name: value for name, value in asdict(one).items() if name != "server"}))
    if not as_json:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table("part", "what", "", "found", "remedy")
        for one in _grouped(findings):
            verdict = f"[{_STYLES[one.verdict]}]{one.verdict}[/]"
            cells = (escape(one.part), escape(one.name), verdict, escape(one.text), escape(one.remedy))
            table.add_row(*cells)
        Console(width=max(Console().width, _WIDTH)).print(table)
    raise typer.Exit(exit_code(findings))


def _grouped(findings: list[Finding]) -> list[Finding]:
    """For people: settings that nobody has set are one line."""
    from streams.doctor import Finding

    unset = [one for one in findings if one.part == "settings" and one.text == _UNSET]
    found = [one for one in findings if one not in unset]
    if unset:
        names = ", ".join(one.name for one in unset)
        at = max((n for n, one in enumerate(found, 1) if one.part == "settings"), default=len(found))
        found.insert(at, Finding("settings", "not set", "ok", names))
    return found
