"""``m1cep rules deploy|approve|disable|enable|rollback``: what changes the rules of running workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import (  # noqa: TC001 - typer reads the annotations
    By,
    Group,
    Lookups,
    Note,
    NoWait,
    RuleFile,
    RuleId,
    RunningRules,
    Streams,
    Timeout,
)
from streams.cli.output import AsJson  # noqa: TC001
from streams.cli.rules_diff import file_rule, print_diff, text_in_force
from streams.cli.rules_put import Put
from streams.errors import UsageError
from streams.user import user_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from m1cep import Rule, Stream
    from streams.config import Settings
    from streams.rules.decide import Who
    from streams.rules.record import RuleRecord


def deploy(  # noqa: PLR0913, PLR0917 - the options of a command
    file: RuleFile,
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
    lookups: Lookups = None,
    rules: RunningRules = None,
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
        print_diff(text_in_force(rule.id, previous, rules, streams), rule.text)
    wait = not (no_wait or requires_approval or at_restart)
    Put(group, timeout, wait, as_json).write(settings, record, previous)


def approve(  # noqa: PLR0913, PLR0917 - the options of a command
    rule: RuleId,
    by: Annotated[str, typer.Option(help="Who approves; another person than the one who has proposed it.")],
    version: Annotated[
        str | None, typer.Option(help="The version that was read; refused when it is another by now.")
    ] = None,
    streams: Streams = None,
    rules: RunningRules = None,
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
        print_diff(text_in_force(rule, previous, rules, streams), record.text or "")
    Put(group, timeout, not no_wait, as_json).write(settings, record, previous)


def disable(  # noqa: PLR0913, PLR0917 - the options of a command
    rule: RuleId,
    rules: RunningRules = None,
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
        _file_version(rule, rules, streams),
        Put(group, timeout, not no_wait, as_json),
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
        _file_version(rule, None, None),
        Put(group, timeout, not no_wait, as_json),
        lambda previous, _version: decide.enabled(rule, previous, _who(by, note)),
    )


def rollback(  # noqa: PLR0913, PLR0917 - the options of a command
    rule: RuleId,
    to: Annotated[
        str | None,
        typer.Option(help="Version to go back to, or `file`: that of the workers' files. Default: the one before."),
    ] = None,
    rules: RunningRules = None,
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
        _file_version(rule, rules, streams),
        Put(group, timeout, not no_wait, as_json),
        lambda previous, version: decide.rolled_back(rule, previous, _who(by, note), to, version),
    )


# -- what they share


def _change(
    rule: str,
    file_version: str | None,
    put: Put,
    decided: Callable[[RuleRecord | None, str | None], RuleRecord],
) -> None:
    """Read what the topic says of a rule, decide, write.

    Args:
        rule: its id.
        file_version: of the rule with this id among the workers' files; None: there is none that we know of.
        put: writes it.
        decided: makes the record of the one before and of the files' version.
    """
    from streams.config import load_settings
    from streams.rules import desk

    settings = load_settings()
    previous = desk.read_rules(settings).records.get(rule)
    if file_version is None and previous is None:  # workers may have been started with other files than we know of
        told = [one for worker in desk.running_workers(settings, put.group) for one in worker["rules"]]
        file_version = next((one["version"] for one in told if one["id"] == rule), None)
    put.write(settings, decided(previous, file_version), previous)


def _file_version(rule: str, files: list[Path] | None, streams: Path | None) -> str | None:
    found = file_rule(rule, files, streams)
    return None if found is None else found.version


def _who(by: str | None, note: str) -> Who:
    from streams.rules.decide import Who

    name = by or user_name()
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
