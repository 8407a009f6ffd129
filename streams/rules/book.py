"""What a worker is to run: the rules of its files, and what the topic says in their place. Compiles; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from m1cep import compile_rule
from m1cep.errors import M1cepError
from m1cep.runtime.lookups import bound
from streams.errors import ShellError, one_line
from streams.rekey import rekeyed, why
from streams.rules.record import is_newer, our_version, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from m1cep import Lookups, Rule, Stream
    from streams.rules.record import Entry, RuleRecord


@dataclass(frozen=True)
class Standing:
    """How a rule stands in a worker.

    Attributes:
        mode: ``active``, ``shadow``, ``disabled``, or ``quarantined`` where it cannot be run.
        rule: compiled; None where it cannot be.
        origin: ``file`` or ``topic``.
        stamp_ms: time of the record that says so; 0 of a file's rule.
        reason: why it is quarantined.
    """

    id: str
    version: str
    mode: str
    rule: Rule | None
    origin: str = "file"
    stamp_ms: int = 0
    reason: str | None = None

    @property
    def runs(self) -> bool:
        """Whether it is to see events."""
        return self.mode in {"active", "shadow"}


class Book:
    """The rules of a worker.

    Args:
        base: from files.
        streams: declared, for rules of the topic.

    Attributes:
        revision: another number after each change.
    """

    def __init__(self, base: Iterable[Rule], streams: Mapping[str, Stream] | None = None) -> None:
        self._base = {rule.id: rule for rule in base}
        self._streams = dict(streams or {})
        self._topic: dict[str, Standing] = {}
        self.refused: dict[str, str] = {}  # by key of a record that is none, why
        self.revision = 0

    def prepare(self, key: bytes | None, value: bytes | None) -> Standing | None:
        """What a record means; takes some milliseconds, and changes nothing. None: the rule's file, if any, holds again.

        Raises:
            ShellError: it is no record of a rule.
        """
        return None if value is None else self._stands(parse(key, value))

    def _stands(self, record: RuleRecord) -> Standing | None:
        entry = record.in_force
        if entry is None:
            return None
        found = Standing(record.rule, entry.version, entry.mode, None, "topic", entry.time_ms)
        rule, reason = self._compiled(entry)
        if entry.mode == "disabled":
            return replace(found, rule=rule)  # workers go on reading what it reads
        if rule is None:
            return replace(found, mode="quarantined", reason=reason)
        return replace(found, rule=rule, version=rule.version)

    def _compiled(self, entry: Entry) -> tuple[Rule | None, str]:
        """The rule, or why there is none."""
        base = self._base.get(entry.rule)
        if entry.text is None:
            return base, "the worker has no file with this rule, and its record has no text"
        if is_newer(entry.made_with, our_version()):
            return (
                None,
                f"it was deployed by m1cep {entry.made_with}, this worker is {our_version()}: start a newer worker",
            )
        if base is not None and base.text == entry.text:
            return base, ""
        try:
            rule = compile_rule(entry.text, self._streams, entry.rule)
        except M1cepError as error:
            made = f" (deployed by m1cep {entry.made_with})" if entry.made_with != our_version() else ""
            return None, f"it does not compile here{made}: {one_line(str(error))}"
        if rule.id != entry.rule:
            return None, f"its text says that it is rule {rule.id}"
        return rule, ""

    def put(self, key: bytes | None, standing: Standing | None) -> None:
        """From now on the record with this key says so."""
        name = (key or b"").decode(errors="replace")
        self.refused.pop(name, None)
        # Another dictionary each time: a thread may be looking at the one before.
        self._topic = {known: one for known, one in self._topic.items() if known != name}
        if standing is not None:
            self._topic[name] = standing
        self.revision += 1

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Prepare and put. What is no record changes nothing, and is told in ``refused``."""
        try:
            self.put(key, self.prepare(key, value))
        except ShellError as error:
            self.refuse(key, error)

    def refuse(self, key: bytes | None, error: ShellError) -> None:
        """The record with this key cannot be read: what was said before holds."""
        self.refused[(key or b"").decode(errors="replace")] = str(error)

    @property
    def standings(self) -> dict[str, Standing]:
        """How every rule stands, by id: those of the files in their order, then those of the topic by id."""
        files = {rule.id: Standing(rule.id, rule.version, "active", rule) for rule in self._base.values()}
        topic = self._topic
        return files | {name: topic[name] for name in sorted(topic)}

    @property
    def rules(self) -> list[Rule]:
        """Those that decide what a worker reads: also those that are disabled, so that workers which start before and after
        read the same. Of a rule that the topic has in another version, both.
        """
        base = self._base
        deployed = [s.rule for s in self._topic.values() if s.rule is not None and s.rule is not base.get(s.id)]
        return [*base.values(), *deployed]


def fitting(standing: Standing, topics: AbstractSet[str], lookups: Lookups) -> Standing:
    """The same, or quarantined where this worker cannot run it.

    Args:
        standing: as the book has it.
        topics: that the worker reads.
        lookups: lists and parameters as they are now.
    """
    rule = standing.rule
    if rule is None or not standing.runs:
        return standing
    if missing := sorted(topics_of(rule) - topics):
        return replace(standing, mode="quarantined", reason=not_read(rule, missing))
    try:
        bound(rule.needs, lookups)
    except M1cepError as error:
        return replace(standing, mode="quarantined", reason=one_line(str(error)))
    return standing


def topics_of(rule: Rule) -> frozenset[str]:
    """What a worker must read to run it."""
    return frozenset([one.topic for one in rekeyed(rule)] or [stream.topic for stream in rule.inputs])


def not_read(rule: Rule, missing: Iterable[str]) -> str:
    """Why a rule cannot run in workers that do not read topics."""
    about = why(rule)
    return (
        f"it reads {', '.join(missing)}, which the running workers do not"
        + (f" (it {about})" if about else "")
        + ": workers "
        "find out what to read when they start"
    )
