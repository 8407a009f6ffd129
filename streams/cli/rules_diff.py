"""``m1cep rules diff``, and how a rule's text that is in force differs from another."""

from __future__ import annotations

import difflib
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from streams.cli.options import RuleId, RunningRules, Streams  # noqa: TC001
from streams.cli.output import AsJson  # noqa: TC001
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep import Rule
    from streams.rules.record import Entry, RuleRecord


def diff(
    rule: RuleId,
    file: Annotated[
        Path | None, typer.Argument(help="A rule file; default: the version before the one in force.")
    ] = None,
    rules: RunningRules = None,
    streams: Streams = None,
    as_json: AsJson = False,
) -> None:
    """Show how a file, or what is in force, differs from what was in force before. Exit code 0 either way.

    Example: m1cep rules diff big-orders my_rules/big_orders.sql
    """
    from streams.config import load_settings
    from streams.files import read_text
    from streams.rules import desk

    previous = desk.read_rules(load_settings()).records.get(rule)
    now = text_in_force(rule, previous, rules, streams)
    before: str | None
    after: str | None
    if file is not None:
        before, after = now, read_text(file)
    else:
        entry = None if previous is None else previous.in_force
        earlier = [] if previous is None else [one for one in previous.before if one.text is not None]
        other = next((one.text for one in earlier if entry is None or one.version != entry.version), None)
        before, after = (other if other is not None else _file_text(rule, rules, streams)), now
    if before is None and after is None:
        raise ShellError(f"there is no rule {rule!r}", "m1cep rules list shows those that there are")
    if as_json:
        typer.echo(orjson.dumps({"rule": rule, "before": before, "after": after, "diff": list(_diff(before, after))}))
    else:
        print_diff(before, after)


def text_in_force(rule: str, previous: RuleRecord | None, files: list[Path] | None, streams: Path | None) -> str | None:
    """The text of a rule that workers run: of the topic, else of their files."""
    entry: Entry | None = None if previous is None else previous.in_force
    return entry.text if entry is not None and entry.text is not None else _file_text(rule, files, streams)


def file_rule(rule: str, files: list[Path] | None, streams: Path | None) -> Rule | None:
    """The rule with this id among files. Only those that may have it are compiled: all of them take a second."""
    from m1cep import compile_rule
    from streams.files import load_streams, read_text, rule_files

    declared = load_streams(streams)
    for file, name in rule_files(files):
        text = read_text(file)
        if rule in text or rule in name.lower():
            found = compile_rule(text, declared, name)
            if found.id == rule:
                return found
    return None


def _file_text(rule: str, files: list[Path] | None, streams: Path | None) -> str | None:
    found = file_rule(rule, files, streams)
    return None if found is None else found.text


def print_diff(before: str | None, after: str | None) -> None:
    """For people."""
    from rich.console import Console

    colours = {"+": "green", "-": "red", "@": "cyan"}
    console = Console(highlight=False)
    lines = list(_diff(before, after))
    for line in lines or ["no difference"]:
        console.print(line, style=colours.get(line[:1], ""), markup=False, soft_wrap=True)


def _diff(before: str | None, after: str | None) -> Iterable[str]:
    old, new = (before or "").splitlines(), (after or "").splitlines()
    return difflib.unified_diff(old, new, "in force" if before else "nothing", "new", lineterm="")
