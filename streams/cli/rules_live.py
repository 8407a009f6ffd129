"""``m1cep rules deploy|list|disable|enable|diff|rollback|approve``: rules of running workers."""

from __future__ import annotations

import difflib
import getpass
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli import completion as complete
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from m1cep import Rule, Stream
    from streams.config import Settings
    from streams.rules.decide import Who
    from streams.rules.desk import Arrival
    from streams.rules.record import Entry, RuleRecord

RuleId = Annotated[str, typer.Argument(help="Id of the rule.", autocompletion=complete.rules)]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--rules", help="Rule files or folders that the workers were started with; default: the packaged ones."
    ),
]
Streams = Annotated[Path | None, typer.Option(help="Stream declarations (SQL); default: the built-in streams.")]
Group = Annotated[str, typer.Option(help="Prefix of the workers' consumer groups.")]
By = Annotated[str | None, typer.Option(help="Who decides; default: the user of this machine.")]
Note = Annotated[str, typer.Option(help="Why, for those who read the rule's history.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until all workers have it.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the workers.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]


def deploy(  # noqa: PLR0913, PLR0917 - the options of a command
    file: Annotated[Path, typer.Argument(help="A rule file.")],
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow", help="Try it out: its alerts go to m1cep.shadow-alerts.v1, and it asks for no action."
        ),
    ] = False,
    requires_approval: Annotated[
        bool, typer.Option("--requires-approval", help="Propose it: it runs when another person approves it.")
    ] = False,
    at_restart: Annotated[
        bool,
        typer.Option(
            "--at-restart", help="Also when the running workers do not read its topics: it runs when they start again."
        ),
    ] = False,
    streams: Streams = None,
    lookups: Annotated[
        Path | None,
        typer.Option(help="Folder of lists and parameters; default: M1CEP_LOOKUPS, else the packaged ones."),
    ] = None,
    rules: Files = None,
    group: Group = "m1cep",
    by: By = None,
    note: Note = "",
    no_wait: NoWait = False,
    timeout: Timeout = 20.0,
    as_json: AsJson = False,
) -> None:
    """Let running workers run a rule, in place of the one with its id. Nothing is restarted, no other rule is touched.

    Exit code 0 when all workers have it, 1 when it is refused or a worker cannot run it.

    Example: m1cep rules deploy my_rules/big_orders.sql --note "limit of May"
    """
    from streams.config import load_settings
    from streams.files import load_streams, read_text
    from streams.rules import decide, desk

    settings = load_settings(lookups=lookups)
    rule = _compiled(read_text(file), file.name, load_streams(streams))
    previous = desk.read_rules(settings).records.get(rule.id)
    workers = desk.running_workers(settings, group)
    if not at_restart:
        decide.check_workers(rule, workers)
    _check_lookups(settings, rule)
    record = decide.deployed(rule, previous, _who(by, note), shadow=shadow, approval=requires_approval)
    if not as_json:
        _print_diff(_text_in_force(rule.id, previous, rules, streams), rule.text)
    _put(settings, record, group, timeout, wait=not (no_wait or requires_approval or at_restart), as_json=as_json)


def approve(  # noqa: PLR0913, PLR0917 - the options of a command
    rule: RuleId,
    by: Annotated[str, typer.Option(help="Who approves; another person than the one who has proposed it.")],
    version: Annotated[
        str | None, typer.Option(help="The version that was read; refused when it is another by now.")
    ] = None,
    streams: Streams = None,
    rules: Files = None,
    group: Group = "m1cep",
    note: Note = "",
    no_wait: NoWait = False,
    timeout: Timeout = 20.0,
    as_json: AsJson = False,
) -> None:
    """Agree to what another person has proposed: the rule runs.

    Example: m1cep rules approve big-orders --by bob --version 4f1c2a
    """
    from streams.config import load_settings
    from streams.files import load_streams
    from streams.rules import decide, desk

    settings = load_settings()
    previous = desk.read_rules(settings).records.get(rule)
    record = decide.approved(rule, previous, _who(by, note), version)
    compiled = _compiled(record.text or "", rule, load_streams(streams))
    decide.check_workers(compiled, desk.running_workers(settings, group))
    if not as_json:
        _print_diff(_text_in_force(rule, previous, rules, streams), record.text or "")
    _put(settings, record, group, timeout, wait=not no_wait, as_json=as_json)


def disable(  # noqa: PLR0913, PLR0917 - the options of a command
    rule: RuleId,
    rules: Files = None,
    streams: Streams = None,
    group: Group = "m1cep",
    by: By = None,
    note: Note = "",
    no_wait: NoWait = False,
    timeout: Timeout = 20.0,
    as_json: AsJson = False,
) -> None:
    """Let running workers run a rule no more. What it has begun is dropped; `enable` lets it begin again.

    Example: m1cep rules disable order-to-trade-ratio --note "too many false alerts"
    """
    from streams.rules import decide

    _change(
        rule,
        rules,
        streams,
        group,
        timeout,
        no_wait,
        as_json,
        lambda previous, version: decide.disabled(rule, previous, version, _who(by, note)),
    )


def enable(
    rule: RuleId,
    group: Group = "m1cep",
    by: By = None,
    note: Note = "",
    no_wait: NoWait = False,
    timeout: Timeout = 20.0,
    as_json: AsJson = False,
) -> None:
    """Let a rule run again that was disabled, as it did.

    Example: m1cep rules enable order-to-trade-ratio
    """
    from streams.rules import decide

    _change(
        rule,
        None,
        None,
        group,
        timeout,
        no_wait,
        as_json,
        lambda previous, _version: decide.enabled(rule, previous, _who(by, note)),
    )


def rollback(  # noqa: PLR0913, PLR0917 - the options of a command
    rule: RuleId,
    to: Annotated[
        str | None,
        typer.Option(help="Version to go back to, or `file`: that of the workers' files. Default: the one before."),
    ] = None,
    rules: Files = None,
    streams: Streams = None,
    group: Group = "m1cep",
    by: By = None,
    note: Note = "",
    no_wait: NoWait = False,
    timeout: Timeout = 20.0,
    as_json: AsJson = False,
) -> None:
    """Go back to a version of before; the topic remembers the last ten decisions about each rule.

    Example: m1cep rules rollback big-orders
    """
    from streams.rules import decide

    _change(
        rule,
        rules,
        streams,
        group,
        timeout,
        no_wait,
        as_json,
        lambda previous, version: decide.rolled_back(rule, previous, _who(by, note), to, version),
    )


def diff(
    rule: RuleId,
    file: Annotated[
        Path | None, typer.Argument(help="A rule file; default: the version before the one in force.")
    ] = None,
    rules: Files = None,
    as_json: AsJson = False,
) -> None:
    """Show how a file, or what is in force, differs from what was in force before. Exit code 0 either way.

    Example: m1cep rules diff big-orders my_rules/big_orders.sql
    """
    from streams.config import load_settings
    from streams.files import read_text
    from streams.rules import desk

    previous = desk.read_rules(load_settings()).records.get(rule)
    now = _text_in_force(rule, previous, rules)
    before: str | None
    after: str | None
    if file is not None:
        before, after = now, read_text(file)
    else:
        entry = None if previous is None else previous.in_force
        earlier = [] if previous is None else [one for one in previous.before if one.text is not None]
        other = next((one.text for one in earlier if entry is None or one.version != entry.version), None)
        before, after = (other if other is not None else _file_text(rule, rules)), now
    if before is None and after is None:
        raise ShellError(f"there is no rule {rule!r}", "m1cep rules list shows those that there are")
    if as_json:
        typer.echo(orjson.dumps({"rule": rule, "before": before, "after": after, "diff": list(_diff(before, after))}))
    else:
        _print_diff(before, after)


def list_(
    rules: Files = None,
    streams: Streams = None,
    group: Group = "m1cep",
    as_json: AsJson = False,
) -> None:
    """Show every rule: version, how it stands, who decided that, and what it has done in the running workers.

    Example: m1cep rules list
    """
    from streams.config import load_settings
    from streams.files import load_rules, load_streams
    from streams.rules import desk
    from streams.rules.table import rows

    settings = load_settings()
    deployed = desk.read_rules(settings)
    workers = desk.running_workers(settings, group)
    found = rows(load_rules(rules, load_streams(streams)), deployed.records, workers)
    if as_json:
        for row in found:
            sys.stdout.buffer.write(orjson.dumps(row) + b"\n")
    else:
        _print_list(found)
        print(f"{len(found)} rules, {len(workers)} workers of group {group}", file=sys.stderr)
    for key, reason in deployed.bad.items():
        print(f"record {key!r}: {reason}", file=sys.stderr)


# -- what they share


def _change(
    rule: str,
    files: list[Path] | None,
    streams: Path | None,
    group: str,
    timeout: float,
    no_wait: bool,
    as_json: bool,
    decided: Callable[[RuleRecord | None, str | None], RuleRecord],
) -> None:
    """Read what the topic says of a rule, decide, write."""
    from streams.config import load_settings
    from streams.rules import desk

    settings = load_settings()
    base = _file_rule(rule, files, streams)
    previous = desk.read_rules(settings).records.get(rule)
    version = None if base is None else base.version
    if version is None and previous is None:  # workers may have been started with other files than we know of
        workers = desk.running_workers(settings, group)
        version = next((told["version"] for one in workers for told in one["rules"] if told["id"] == rule), None)
    record = decided(previous, version)
    _put(settings, record, group, timeout, wait=not no_wait, as_json=as_json)


def _put(settings: Settings, record: RuleRecord, group: str, timeout_s: float, *, wait: bool, as_json: bool) -> None:
    """Write a record, wait for the workers, and say what came of it."""
    from streams.cli.progress import ProgressBar
    from streams.rules import desk

    desk.write_rule(settings, record)
    told: dict[str, Any] = {
        "rule": record.rule,
        "version": record.version,
        "mode": record.mode,
        "by": record.by,
        "approved_by": record.approved_by,
    }
    if not wait:
        _say(told, _plain_words(record), as_json)
        return
    with ProgressBar("waiting for the workers", timeout_s) as bar:
        started_s = time.monotonic()
        arrived = desk.wait_until_in_force(
            settings, record, group, timeout_s, lambda _: bar.update(time.monotonic() - started_s)
        )
    told |= {
        "in_force_after_ms": arrived.after_ms,
        "quarantined": arrived.quarantined,
        "missing": list(arrived.missing),
    }
    _say(told, f"{_plain_words(record)}; {_of_workers(arrived, group)}", as_json)
    if arrived.quarantined:
        worker, reason = next(iter(arrived.quarantined.items()))
        raise ShellError(
            f"worker {worker} cannot run rule {record.rule}: {reason}", f"m1cep rules rollback {record.rule}"
        )
    if arrived.missing:
        raise ShellError(
            f"not heard within {timeout_s:g} s from {', '.join(arrived.missing)}",
            "m1cep rules list shows when they have it: they will, as soon as they read again",
        )


def _say(told: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
        sys.stdout.buffer.flush()
    else:
        typer.echo(words)


def _plain_words(record: RuleRecord) -> str:
    how = {"active": "active", "shadow": "in shadow", "disabled": "disabled", "proposed": "proposed"}[record.mode]
    words = f"rule {record.rule} version {record.version} is {how}, by {record.by}"
    if record.approved_by:
        words += f", approved by {record.approved_by}"
    if record.mode == "proposed":
        words += f"; another person: m1cep rules approve {record.rule} --version {record.version} --by NAME"
    return words


def _of_workers(arrived: Arrival, group: str) -> str:
    if not arrived.after_ms and arrived.complete:
        return f"no worker of group {group} runs now: those that start will have it"
    slowest = max(arrived.after_ms.values(), default=0)
    many = "1 worker has" if len(arrived.after_ms) == 1 else f"{len(arrived.after_ms)} workers have"
    return f"{many} it, the last {slowest / 1000:.2f} s after it was written"


def _who(by: str | None, note: str) -> Who:
    from streams.rules.decide import Who

    name = by or getpass.getuser()
    if not name.strip() or not name.isprintable():
        raise UsageError(f"--by expects a name, got {name!r}")
    return Who(name, time.time_ns() // 1_000_000, note)


def _compiled(text: str, name: str, streams: dict[str, Stream]) -> Rule:
    """The rule, as workers will compile it: they know its id, not the file's name."""
    from m1cep import compile_rule

    rule = compile_rule(text, streams, name)
    if compile_rule(text, streams, rule.id).id != rule.id:
        raise UsageError(f"{name} says nothing of its id", "write `id: ...` into its front matter")
    return rule


def _check_lookups(settings: Settings, rule: Rule) -> None:
    """Refuse a rule that reads lists or parameters which are not there.

    Raises:
        EngineError: says which.
    """
    from m1cep.runtime.lookups import bound
    from streams.cache.library import open_library, wanted_by

    if wanted := wanted_by([rule]):
        library = open_library(settings, wanted, keep=False)
        try:
            bound(rule.needs, library.now)
        finally:
            library.close()


def _text_in_force(
    rule: str, previous: RuleRecord | None, files: list[Path] | None, streams: Path | None = None
) -> str | None:
    entry: Entry | None = None if previous is None else previous.in_force
    return entry.text if entry is not None and entry.text is not None else _file_text(rule, files, streams)


def _file_text(rule: str, files: list[Path] | None, streams: Path | None = None) -> str | None:
    """The text of the rule with this id among files."""
    found = _file_rule(rule, files, streams)
    return None if found is None else found.text


def _file_rule(rule: str, files: list[Path] | None, streams: Path | None) -> Rule | None:
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


def _diff(before: str | None, after: str | None) -> Iterable[str]:
    old, new = (before or "").splitlines(), (after or "").splitlines()
    return difflib.unified_diff(old, new, "in force" if before else "nothing", "new", lineterm="")


def _print_diff(before: str | None, after: str | None) -> None:
    from rich.console import Console

    colours = {"+": "green", "-": "red", "@": "cyan"}
    console = Console(highlight=False)
    lines = list(_diff(before, after))
    for line in lines or ["no difference"]:
        console.print(line, style=colours.get(line[:1], ""), markup=False, soft_wrap=True)


def _print_list(found: Iterable[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("id", "version", "mode", "origin", "by"):
        table.add_column(name, no_wrap=True)
    for name in ("events", "alerts", "open", "µs/event"):
        table.add_column(name, justify="right")
    table.add_column("reason")
    colours = {"quarantined": "red", "disabled": "dim", "shadow": "yellow", "proposed": "cyan"}
    for row in found:
        cost = "" if row["cost_us_per_event"] is None else f"{row['cost_us_per_event']:.2f}"
        facts = (
            row["id"],
            row["version"],
            row["mode"],
            row["origin"],
            row["by"] or "",
            row["events"],
            row["alerts"],
            row["open"],
        )
        table.add_row(*map(str, facts), cost, row["reason"] or "", style=colours.get(row["mode"], ""))
    Console().print(table)
