"""What a command makes of a rule: the next record, or why there is none. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from streams.errors import ShellError, UsageError
from streams.rules.book import not_read, topics_of
from streams.rules.record import Entry, following, is_newer, our_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from m1cep import Rule
    from streams.rules.record import RuleRecord

_RUNS = frozenset({"active", "shadow"})


class Who(NamedTuple):
    """Who decides, when, and why."""

    by: str
    now_ms: int
    note: str = ""


def deployed(rule: Rule, previous: RuleRecord | None, who: Who, *, shadow: bool, approval: bool) -> RuleRecord:
    """A rule is to run, in place of what has its id.

    Args:
        rule: compiled from the text that workers will compile.
        previous: what the topic says of this id.
        who: says so.
        shadow: it is tried out.
        approval: a second person must agree before.
    """
    mode = "shadow" if shadow else "active"
    entry = _entry(
        rule.id, rule.version, rule.text, "proposed" if approval else mode, who, proposed=mode if approval else None
    )
    return following(previous, entry)


def disabled(rule_id: str, previous: RuleRecord | None, version: str | None, who: Who) -> RuleRecord:
    """A rule is not to run any more.

    Args:
        rule_id: of the rule.
        previous: what the topic says of it.
        version: of the rule of that id in a file; None: there is none.
        who: says so.

    Raises:
        ShellError: there is no such rule, or it does not run.
    """
    entry = None if previous is None else previous.in_force
    if entry is None and version is None:
        raise ShellError(f"there is no rule {rule_id!r}", "m1cep rules list shows those that there are")
    if entry is not None and entry.mode == "disabled":
        raise ShellError(f"rule {rule_id} is disabled already, by {entry.by}")
    if entry is None:
        return following(previous, _entry(rule_id, version or "", None, "disabled", who))
    return following(previous, _entry(rule_id, entry.version, entry.text, "disabled", who))


def enabled(rule_id: str, previous: RuleRecord | None, who: Who) -> RuleRecord:
    """A rule that was disabled is to run again, as it did.

    Raises:
        ShellError: it is not disabled.
    """
    entry = None if previous is None else previous.in_force
    if previous is None or entry is None or entry.mode != "disabled":
        raise ShellError(f"rule {rule_id} is not disabled", "m1cep rules list shows how each rule stands")
    ran = next((one for one in previous.before if one.mode in _RUNS and one.version == entry.version), None)
    mode = ran.mode if ran is not None else "active"
    return following(previous, _entry(rule_id, entry.version, entry.text, mode, who))


def rolled_back(
    rule_id: str, previous: RuleRecord | None, who: Who, to: str | None, file_version: str | None
) -> RuleRecord:
    """A rule is to run in a version of before.

    Args:
        rule_id: of the rule.
        previous: what the topic says of it.
        who: says so.
        to: the version; ``file``: that of the workers' files; None: the one that ran before the one in force.
        file_version: of the rule of that id in a file; None: there is none.

    Raises:
        ShellError: there is none to go back to.
    """
    if previous is None:
        raise ShellError(f"rule {rule_id} was never deployed: there is nothing to go back from")
    entry = previous.in_force
    now = None if entry is None else entry.version
    ran = [one for one in (previous, *previous.before) if one.mode in _RUNS]
    if to == "file" or (to is None and all(one.version == now for one in ran)):
        if file_version is None:
            raise ShellError(f"there is no version of rule {rule_id} before {now}, and no file with it")
        return following(previous, _entry(rule_id, file_version, None, "active", who))
    found = next((one for one in ran if (one.version != now if to is None else one.version.startswith(to))), None)
    if found is None:
        raise ShellError(
            f"there is no version {to} of rule {rule_id}",
            f"there are: {', '.join(dict.fromkeys(one.version for one in ran)) or 'none'}, and `file`",
        )
    return following(previous, _entry(rule_id, found.version, found.text, found.mode, who))


def approved(rule_id: str, previous: RuleRecord | None, who: Who, version: str | None) -> RuleRecord:
    """A second person agrees to what is proposed.

    Raises:
        ShellError: nothing is proposed, or it is another version than the one that was read, or by the same person.
    """
    if previous is None or previous.mode != "proposed":
        raise ShellError(f"nothing is proposed for rule {rule_id}", "m1cep rules list shows what is")
    if version is not None and not previous.version.startswith(version):
        raise ShellError(
            f"version {previous.version} of rule {rule_id} is proposed by now, not {version}", "read it again"
        )
    if previous.by == who.by:
        raise ShellError(
            f"{who.by} has proposed version {previous.version} of rule {rule_id}: another person must approve it"
        )
    mode = previous.proposed_mode or "active"
    entry = Entry(
        rule=rule_id,
        version=previous.version,
        text=previous.text,
        mode=mode,
        by=previous.by,
        time_ms=who.now_ms,
        note=who.note or previous.note,
        approved_by=who.by,
        made_with=previous.made_with,
    )
    return following(previous, entry)


def _entry(rule_id: str, version: str, text: str | None, mode: Any, who: Who, proposed: Any = None) -> Entry:
    return Entry(
        rule=rule_id,
        version=version,
        text=text,
        mode=mode,
        by=who.by,
        time_ms=who.now_ms,
        note=who.note,
        made_with=our_version(),
        proposed_mode=proposed,
    )


def check_workers(rule: Rule, workers: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what the running workers cannot run.

    Args:
        rule: to be deployed.
        workers: their status records.

    Raises:
        UsageError: says what they lack.
    """
    for one in workers:
        theirs = str(one["agents"]["risk"].get("m1cep", ""))
        if theirs and is_newer(our_version(), theirs):
            raise UsageError(
                f"this is m1cep {our_version()}, worker {one['worker']} is {theirs}: the rule may mean something else there",
                "use the m1cep of the workers, or renew them first",
            )
    read = {tp.rpartition("/")[0] for one in workers for tp in one["agents"]["risk"]["assigned"]}
    missing = sorted(topics_of(rule) - read)
    if read and missing:
        raise UsageError(
            f"rule {rule.id} cannot run yet: {not_read(rule, missing)}",
            "deploy it with --at-restart, then stop all workers of the group and start them again",
        )
