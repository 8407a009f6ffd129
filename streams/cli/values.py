"""``m1cep params`` and ``m1cep templates``: parameters of rules and documents for other services, in the cache, with versions."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli.lists import Note, store, when
from streams.cli.output import AsJson, say

if TYPE_CHECKING:
    from streams.cache.store import Published, Store

params = typer.Typer(
    help="Parameters of rules in the cache: what params.yaml has, with versions.", no_args_is_help=True
)
templates = typer.Typer(
    help="Documents in the cache for other services: fees, settlement, sharing of profits; with versions.",
    no_args_is_help=True,
)

_MAX_BYTES = 1 << 20


@params.command("import", epilog="Example: m1cep params import params.yaml --note 'ticket 17'")
def import_params(
    file: Annotated[Path, typer.Argument(help="Of the form of rules/lookups/params.yaml.")],
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Put the parameters of a file in force; those of other names stay. Nothing is changed when the file has a mistake."""
    from streams.cache.documents import encoded
    from streams.lookups import load_params

    found, rules = load_params(file)
    values: list[tuple[str, str, Any]] = [("param", name, value) for name, value in found.items()]
    values += [("rule", name, value) for name, value in rules.items()]
    for kind, _, value in values:
        encoded(kind, value)  # all of them before the first is changed
    with store() as cache:
        for kind, name, value in values:
            _tell(kind, cache.set_value(kind, name, value, note or file.name), as_json)


@params.command("list", epilog="Example: m1cep params list --json")
def list_params(as_json: AsJson = False) -> None:
    """What is in force: parameters (param), and values in place of those in a rule's front matter (rule)."""
    with store() as cache:
        _list(cache, {"param", "rule"}, as_json)


@params.command("history", epilog="Example: m1cep params history max_notional")
def params_history(
    name: Annotated[str, typer.Argument(help="Of the parameter, or a rule's id with --rule.")],
    rule: Annotated[bool, typer.Option("--rule", help="The name is the id of a rule.")] = False,
    as_json: AsJson = False,
) -> None:
    """What was in force, newest first."""
    with store() as cache:
        _history(cache, "rule" if rule else "param", name, as_json)


@templates.command("put", epilog="Example: m1cep templates put fees-vip fees.json")
def put_template(
    name: Annotated[str, typer.Argument(help="Of the template.")],
    file: Annotated[Path, typer.Argument(help="JSON.")],
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Put a document in force."""
    from streams.errors import UsageError
    from streams.files import read_text

    text = read_text(file)
    if len(text) > _MAX_BYTES:
        raise UsageError(f"{file}: expected at most {_MAX_BYTES:,} characters, got {len(text):,}")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{file} is not JSON: {error}") from None
    with store() as cache:
        _tell("template", cache.set_value("template", name, value, note or file.name), as_json)


@templates.command("show", epilog="Example: m1cep templates show fees-vip")
def show_template(
    name: Annotated[str, typer.Argument(help="Of the template.")],
    version: Annotated[str, typer.Option(help="An earlier one; see history.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="On one line.")] = False,
) -> None:
    """The document."""
    with store() as cache:
        typer.echo(orjson.dumps(cache.value("template", name, version), option=0 if as_json else orjson.OPT_INDENT_2))


@templates.command("list", epilog="Example: m1cep templates list")
def list_templates(as_json: AsJson = False) -> None:
    """What templates there are."""
    with store() as cache:
        _list(cache, {"template"}, as_json)


@templates.command("history", epilog="Example: m1cep templates history fees-vip")
def templates_history(name: Annotated[str, typer.Argument(help="Of the template.")], as_json: AsJson = False) -> None:
    """What was in force, newest first."""
    with store() as cache:
        _history(cache, "template", name, as_json)


def _list(cache: Store, kinds: set[str], as_json: bool) -> None:
    for label, record in cache.all_now().items():
        kind, _, name = label.partition(" ")
        if kind in kinds:
            text = f"{kind:<8} {name:<30} {record['version']}  {when(record)}  {record['by']}  {record['note']}"
            say({"kind": kind, "name": name} | record, text, as_json)


def _history(cache: Store, kind: str, name: str, as_json: bool) -> None:
    for record in cache.history(kind, name):
        say(record, f"{when(record)}  {record['version']}  {record['by']}  {record['note']}", as_json)


def _tell(kind: str, published: Published, as_json: bool) -> None:
    facts = {"kind": kind, "name": published.name, "version": published.version, "before": published.before}
    same = "as before" if not published.changed else f"before: {published.before or 'none'}"
    say(facts, f"{kind} {published.name}: version {published.version}, {same}.", as_json)
