"""``m1cep rules``: check and explain; ``cli.flink`` has the export, ``cli.rules_*`` what is about running workers."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from m1cep.errors import RuleError
from streams.cli import rules_live
from streams.cli.flink import flink
from streams.cli.options import Lookups, RuleFile, Streams  # noqa: TC001 - typer reads the annotations
from streams.cli.output import counted, wide
from streams.cli.rules_backtest import backtest
from streams.cli.rules_diff import diff
from streams.cli.rules_list import list_
from streams.errors import ExitCode, UsageError
from streams.files import load_streams, rule_files

if TYPE_CHECKING:
    from m1cep import Rule, Stream
    from streams.whynot import Asked

app = typer.Typer(help="Check, explain, try out and deploy rules.", no_args_is_help=True)
app.command()(flink)
app.command()(backtest)
for command in (
    rules_live.deploy,
    rules_live.disable,
    rules_live.enable,
    rules_live.rollback,
    diff,
    rules_live.approve,
):
    app.command()(command)
app.command("list")(list_)

Rules = Annotated[list[Path] | None, typer.Argument(help="Rule files or folders; default: the packaged rules.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]


@app.command()
def check(rules: Rules = None, streams: Streams = None, json: Json = False) -> None:
    """Compile rules; say what is wrong with those that are refused. Exit code 1 if any is.

    Also says which rules cannot read their streams by the keys that these have, and what they read on Kafka instead.

    Example: m1cep rules check my_rules/
    """
    from m1cep import compile_rule
    from streams.files import read_text

    declared = load_streams(streams)
    table: list[dict[str, Any]] = []
    failed = 0
    for file, name in rule_files(rules):
        try:
            rule = compile_rule(read_text(file), declared, name)
            table.append(_facts(name, rule))
        except RuleError as error:
            failed += 1
            table.append(
                {"file": name, "error": error.message, "line": error.line, "column": error.column, "hint": error.hint}
            )
            if not json:
                print(f"{error}\n", file=sys.stderr)
    if json:
        for row in table:
            sys.stdout.buffer.write(orjson.dumps(row) + b"\n")
    else:
        if failed < len(table):
            _print_table([row for row in table if "error" not in row])
        for row in table:
            if row.get("rekeyed"):
                print(f"{row['id']} {row['rekeyed']}")
        verb = "is" if len(table) == 1 else "are"
        print(f"{len(table) - failed} of {counted(len(table), 'rule')} {verb} fine", file=sys.stderr)
    if failed:
        raise typer.Exit(ExitCode.FAILURE)


@app.command()
def explain(
    rule: RuleFile,
    streams: Streams = None,
    events: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE.ndjson: also why the rule did not fire on these events.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="COLUMN=VALUE[,...]: of these keys in full; default: a table of the nearest keys."),
    ] = None,
    lookups: Lookups = None,
    json: Json = False,
) -> None:
    """Show a rule's plan and the Python that it runs as; with events, what came near to a match instead.

    Example: m1cep rules explain rules/account/structuring.sql --events accounts=accounts.ndjson --key account=a1
    """
    from m1cep import compile_rule
    from streams.explain import plan_lines
    from streams.files import read_text

    if key is not None and not events:
        raise UsageError("--key asks about events", "--events NAME=FILE.ndjson, once for each stream")
    declared = load_streams(streams)
    compiled = compile_rule(read_text(rule), declared, rule.name)
    asked = _ask(compiled, declared, events, key, lookups) if events else None
    if json:
        facts = _facts(rule.name, compiled) | {"plan": plan_lines(compiled), "code": compiled.module.text}
        if asked is not None:
            facts |= {"why_not": asked.answer.to_dict(), "read": asdict(asked.counts)}
        sys.stdout.buffer.write(orjson.dumps(facts, default=str) + b"\n")
        return
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console()
    console.print(f"[bold]{compiled.id}[/]  version {compiled.version}  severity {compiled.severity}")
    console.print(compiled.summary, style="italic", highlight=False)
    for line in plan_lines(compiled):
        console.print(line, highlight=False, markup=False)
    if asked is None:
        console.print(Syntax(compiled.module.text, "python", word_wrap=True, background_color="default"))
    else:
        from streams.whynot import render

        render(asked, console, one=key is not None)


def _ask(rule: Rule, declared: dict[str, Stream], events: list[str], key: str | None, lookups: Path | None) -> Asked:
    from streams.cli.replay import event_files, open_events
    from streams.config import load_settings
    from streams.lookups import load_lookups
    from streams.whynot import ask, key_of

    known = load_lookups(load_settings(lookups=lookups).lookups)
    with ExitStack() as stack:
        inputs = {name: (declared[name], open_events(file, stack)) for name, file in event_files(events, declared)}
        return ask(rule, inputs, key_of(key), known)


def _facts(name: str, rule: Rule) -> dict[str, Any]:
    from streams.rekey import rekeyed, why

    return {
        "file": name,
        "id": rule.id,
        "version": rule.version,
        "severity": rule.severity,
        "streams": list(rule.streams),
        "form": type(rule.plan).__name__.removesuffix("Plan").lower(),
        "summary": rule.summary,
        "topics": [one.topic for one in rekeyed(rule)] or [stream.topic for stream in rule.inputs],
        "rekeyed": why(rule),
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("id", "severity", "form", "reads", "summary", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        reads = ", ".join(row["streams"])
        table.add_row(row["id"], row["severity"], row["form"], escape(reads), escape(row["summary"]))
    wide().print(table)
