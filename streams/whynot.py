"""Why a rule did not fire, in a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from m1cep.errors import EngineError
from m1cep.whynot import Inquiry
from m1cep.whynot.wording import duration, moment
from streams.errors import UsageError
from streams.replay import Counts, read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from rich.console import Console

    from m1cep import Lookups, Rule, Stream
    from m1cep.whynot import WhyNot
    from m1cep.whynot.report import Finding, KeyReport, Near, Step

_RULER = 64  # columns of a time line
_MATCHES = 5  # matches told of a key
_KEYS = 5  # keys told of in full
_ALIKE = 3  # neighbouring steps of one variable that are told one by one
_MARK = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


@dataclass
class Asked:
    """The answer, and what was read."""

    answer: WhyNot
    counts: Counts


def ask(
    rule: Rule,
    inputs: Mapping[str, tuple[Stream, BinaryIO]],
    key: Mapping[str, str] | None,
    lookups: Lookups | None = None,
) -> Asked:
    """Ask about the events of files, read as ``m1cep replay`` reads them.

    Raises:
        UsageError: the rule has no such key column, or reads none of the streams.
    """
    try:
        inquiry = Inquiry(rule, key, lookups)
    except EngineError as error:
        raise UsageError(str(error)) from error
    if not set(rule.streams) & set(inputs):
        raise UsageError(
            f"rule {rule.id!r} reads {' and '.join(rule.streams)}: no --events names one of them",
            f"--events {rule.streams[0]}=FILE.ndjson",
        )
    counts = Counts()
    for name in set(rule.streams) - set(inputs):
        inquiry.end(name)
    for stream, rows, _ in read(inputs, counts, lambda _letter: None):
        if rows is None:
            inquiry.end(stream.name)
        else:
            inquiry.push_rows(stream.name, rows)
    return Asked(inquiry.finish(), counts)


def key_of(text: str | None) -> dict[str, str] | None:
    """``account=a1,symbol=BTC-USD`` as a mapping.

    Raises:
        UsageError: it is not of that form.
    """
    if text is None:
        return None
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--key expects COLUMN=VALUE[,COLUMN=VALUE ...], got {text!r}", "--key account=a1")
        found[name.strip()] = value.strip()
    return found


def render(asked: Asked, console: Console, *, one: bool) -> None:
    """The answer; ``one``: a key was asked about, so its attempts in full, else a table of keys."""
    answer, counts = asked.answer, asked.counts
    _Page(answer, console).show(one=one)
    for note in answer.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    if counts.dead_letters:
        bad = (
            f"note: {counts.dead_letters} lines are no events and were left out: m1cep replay --dead-letters tells why"
        )
        console.print(Text(bad, style="yellow"))


class _Page:
    """Writes an answer."""

    def __init__(self, answer: WhyNot, console: Console) -> None:
        self._answer = answer
        self._unit = answer.unit
        self._out = console

    def show(self, *, one: bool) -> None:
        keys = self._answer.keys
        self._out.print()
        if not one:
            self._table()
            return
        for key in keys[:_KEYS]:
            self._key(key)
        if self._answer.key_count > _KEYS:
            self._line(f"{self._answer.key_count - _KEYS} more keys like this: name all columns of the key", "dim")

    def _line(self, text: str, style: str = "", indent: int = 0) -> None:
        self._out.print(Text(" " * indent + text, style=style), soft_wrap=True)

    def _table(self) -> None:
        """The keys that came nearest; of a pattern with the rows that were missing."""
        pattern = self._answer.form == "match"
        table = Table(
            "key", "events", "matches", *["missing"] * pattern, "nearest", box=None, header_style="bold", pad_edge=False
        )
        for key in self._answer.keys:
            near = key.near[0] if key.near else None
            missing = "" if near is None else _count(near.missing, "row")
            table.add_row(
                escape(_named(key.key)),
                str(key.events),
                str(sum(not m.suppressed for m in key.matches)),
                *[missing] * pattern,
                escape(_headline(key, near)),
            )
        self._out.print(table)
        rest = self._answer.key_count - len(self._answer.keys)
        self._line(f"{f'{rest} more keys; ' if rest > 0 else ''}--key COLUMN=VALUE tells more of one", "dim")

    def _key(self, key: KeyReport) -> None:
        told = sum(not m.suppressed for m in key.matches)
        heading = Text(_named(key.key), style="bold")
        heading.append(f"   {_count(key.events, 'event')}, {_count(told, 'match', 'matches')}", style="not bold")
        self._out.print(heading)
        self._matches(key)
        for late in key.late:
            behind = duration(late.watermark - late.event.time, self._unit)
            self._line(
                f"{late.event.id} of {late.stream} came too late and was not given to the rule: {behind} behind the watermark",
                "yellow",
                2,
            )
        if key.left_out_count:
            self._line(f"WHERE left {_count(key.left_out_count, 'event')} out; nearest:", "yellow", 2)
            for left in key.left_out:
                self._line(f"{left.event.id}  {moment(left.event.time, self._unit)}", "", 4)
                for finding in left.findings:
                    if finding.holds is not True:
                        self._finding(finding, 6, excerpt=False)
        for number, near in enumerate(key.near, 1):
            if number > 1:
                self._out.print()
            self._near(number, near)
        if not key.near and not key.matches:
            self._line("nothing of it came near", "dim", 2)
        self._out.print()

    def _matches(self, key: KeyReport) -> None:
        for match in key.matches[:_MATCHES]:
            events = " ".join(match.events[:8]) + (f" … ({len(match.events)} events)" if len(match.events) > 8 else "")
            quiet = "  kept back by suppress: an alert of this key came shortly before" if match.suppressed else ""
            style = "yellow" if match.suppressed else "green"
            self._line(f"match at {moment(match.event_time, self._unit)}  of {events}{quiet}", style, 2)
        if len(key.matches) > _MATCHES:
            self._line(f"… and {_count(len(key.matches) - _MATCHES, 'more match', 'more matches')}", "dim", 2)

    def _near(self, number: int, near: Near) -> None:
        wanted = f"{_count(near.missing, 'row')} missing: " if near.missing else ""
        self._out.print(Text.assemble((f"  {number}. ", "bold"), (wanted, "bold"), near.what), soft_wrap=True)
        if near.others:
            self._line(f"{_count(near.others, 'more attempt')} failed in the same way", "dim", 5)
        begin = near.steps[0].event.time if near.steps else None
        if near.steps:
            self._steps(near)
            self._ruler(near)
        elif near.event is not None:
            self._line(f"{near.event.id}  {moment(near.event.time, self._unit)}", "", 5)
        for finding in near.findings:
            self._finding(finding, 5)
        if near.ended is not None and near.ended.event is not None:
            at = (
                ""
                if begin is None
                else f", {duration(near.ended.event.time - begin, self._unit)} after the first event"
            )
            self._line(f"{near.ended.what}{at}", "bold", 5)
            for finding in near.ended.findings:
                self._finding(finding, 5)

    def _finding(self, finding: Finding, indent: int, *, excerpt: bool = True) -> None:
        mark, colour = _MARK[finding.holds]
        pad = " " * indent
        if finding.holds is True:
            self._out.print(Text.assemble(pad, (mark, colour), " ", (finding.sql, "dim")), soft_wrap=True)
            return
        self._out.print(
            Text.assemble(pad, (mark, colour), " ", (f"{finding.sql}: ", "bold"), (finding.why, colour)), soft_wrap=True
        )
        if excerpt:
            for line in finding.excerpt.split("\n"):
                self._line(line, "dim", indent)

    # the way of an attempt

    def _steps(self, near: Near) -> None:
        """One line a step: variable, event, how long after the first."""
        begin = near.steps[0].event.time
        width = max(len(name) for name in (near.variable or "", *(s.variable for s in near.steps)))

        def tell(variable: str, event: str, after: str, style: str) -> None:
            self._line(f"{variable:<{width}}  {event}  {after}", style, 5)

        for group in _groups(near.steps):
            for step in group if len(group) <= _ALIKE else (group[0], group[-1]):
                after = f"+{duration(step.event.time - begin, self._unit)}"
                when = moment(begin, self._unit) if step is near.steps[0] else after
                tell(step.variable, step.event.id, when + "  after WITHIN" * step.late, "red" if step.late else "cyan")
                if len(group) > _ALIKE and step is group[0]:
                    tell(step.variable, f"… {len(group) - 2} more", "", "dim")
        if near.event is not None and near.variable is not None:
            verdict = "and had to be absent" if all(f.holds for f in near.findings) else "does not fit"
            after = f"+{duration(near.event.time - begin, self._unit)}  {verdict}"
            tell(near.variable, near.event.id, after, "red")

    def _ruler(self, near: Near) -> None:
        """The same to scale."""
        begin = near.steps[0].event.time
        marks = [(s.event.time, "·" if s.free else "●", "" if s.free else s.variable) for s in near.steps]
        if near.event is not None:
            marks.append((near.event.time, "✗", f"{near.variable}?"))
        last = marks[-1][0]
        end = max(near.bound[1], last) if near.bound else last
        if end == begin:
            return
        scale = (_RULER - 1) / (end - begin)
        line = ["─" if i <= round((last - begin) * scale) else "┄" for i in range(_RULER)]
        tail = f" {duration(end - begin, self._unit)}"
        if near.bound is not None:
            line[round((near.bound[1] - begin) * scale)] = "┤"
            within = f"WITHIN {duration(near.bound[1] - begin, self._unit)}"
            tail = f" {within}" if end == near.bound[1] else f"{tail}, {within}"
        labels = [" "] * (_RULER + 24)
        for time, mark, label in (marks[-1], *marks[:-1]):  # the last is what matters most
            at = round((time - begin) * scale)
            line[at] = mark if line[at] not in {"✗", "●"} else line[at]
            if label and not "".join(labels[max(at - 1, 0) : at + len(label) + 1]).strip():
                labels[at : at + len(label)] = label
        self._line("".join(labels).rstrip(), "dim", 5)
        self._line("".join(line) + tail, "", 5)


def _groups(steps: tuple[Step, ...]) -> list[list[Step]]:
    """Neighbours of one variable together."""
    groups: list[list[Step]] = []
    for step in steps:
        if groups and groups[-1][0].variable == step.variable and groups[-1][0].late == step.late:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _named(key: Mapping[str, Any]) -> str:
    return (
        ", ".join(f"{name}={'NULL' if value is None else value}" for name, value in key.items()) or "all rows together"
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number or 'no'} {one if number == 1 else many or one + 's'}"


def _headline(key: KeyReport, near: Near | None) -> str:
    """What is to be said of a key in one line."""
    if near is None:
        if key.left_out_count and not key.matches:
            return f"WHERE left {_count(key.left_out_count, 'event')} out"
        return "" if key.matches else "nothing"
    told = near.ended if near.ended is not None and len(near.ended.failed) < len(near.failed) else near
    if not told.failed:
        return near.what
    first = told.failed[0]
    event = f"{told.event.id}: " if told.event is not None else ""
    return f"{event}{first.sql}: {first.why.split(', with ')[0]}"
