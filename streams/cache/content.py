"""What is in force at one moment, and what an engine reads of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from m1cep import EngineError, FixedLookups, Parameter
from m1cep.runtime.lookups import LISTS, bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from m1cep import Rule


@dataclass(frozen=True, slots=True)
class Entry:
    """A list (a frozenset of text), a parameter, or the values of a rule, in a version."""

    version: str
    value: Any = field(repr=False)


@dataclass(frozen=True)
class Content:
    """Lists and parameters at one moment.

    Attributes:
        entries: by ``list NAME``, ``param NAME``, ``rule ID``.
        current: False when these were known last and the cache cannot be asked whether they still are in force.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    current: bool = True

    @property
    def revision(self) -> int:
        """It does not change."""
        return 0

    def members(self, name: str) -> AbstractSet[str] | None:
        """The entries of a list."""
        found = self.entries.get(f"list {name}")
        return None if found is None else found.value

    def parameter(self, name: str) -> Parameter | None:
        """A parameter."""
        found = self.entries.get(f"param {name}")
        return None if found is None else found.value

    def overrides(self, rule: str) -> Mapping[str, Any]:
        """Values for the rule's ``:name``."""
        found = self.entries.get(f"rule {rule}")
        return {} if found is None else found.value

    def versions(self) -> dict[str, str]:
        """Version by label."""
        return {label: entry.version for label, entry in self.entries.items()}

    def same_as(self, other: Content) -> bool:
        """Whether nobody could tell the two apart."""
        return self.current == other.current and self.versions() == other.versions()


class Pinned:
    """The lookups of one engine: they change only when somebody says so."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.revision = 0

    def set(self, content: Content) -> None:
        """From the next batch on."""
        self.content = content
        self.revision += 1

    @property
    def current(self) -> bool:
        """Of the content."""
        return self.content.current

    def members(self, name: str) -> AbstractSet[str] | None:
        """The entries of a list."""
        return self.content.members(name)

    def parameter(self, name: str) -> Parameter | None:
        """A parameter."""
        return self.content.parameter(name)

    def overrides(self, rule: str) -> Mapping[str, Any]:
        """Values for the rule's ``:name``."""
        return self.content.overrides(rule)

    def versions(self) -> Mapping[str, str]:
        """Version by label."""
        return self.content.versions()


def content_of(lookups: FixedLookups) -> Content:
    """The lists and parameters of a folder."""
    entries: dict[str, Entry] = {}
    for label, version in lookups.versions().items():
        kind, _, name = label.partition(" ")
        read = {"list": lookups.members, "param": lookups.parameter, "rule": lookups.overrides}[kind]
        entries[label] = Entry(version, read(name))
    return Content(entries)


def with_more(known: Content, content: Content) -> Content:
    """What is known, and of ``content`` what is not known there."""
    if content.entries.keys() <= known.entries.keys():
        return known
    return replace(known, entries={**content.entries, **known.entries})


def wanted_by(rules: Iterable[Rule]) -> frozenset[str]:
    """The labels of all that rules may read."""
    found: set[str] = set()
    for rule in rules:
        if rule.needs.params:
            found.add(f"rule {rule.id}")
        for binding in rule.needs.bindings.values():
            if binding.kind != "value":
                found.add(f"{'list' if binding.kind in LISTS else 'param'} {binding.name}")
    return frozenset(found)


def usable(rules: Iterable[Rule], before: Content, after: Content) -> tuple[Content, dict[str, str]]:
    """What of a change can be taken over: a parameter of the wrong type must not end a worker, nor keep a list from changing.

    Returns:
        The content, and why by the label of each change that was left out.
    """
    rules = list(rules)
    if not _fault(rules, after):
        return after, {}
    found = replace(before, current=after.current)
    refused: dict[str, str] = {}
    for label, entry in after.entries.items():
        known = before.entries.get(label)
        if known is not None and known.version == entry.version:
            continue
        tried = replace(found, entries={**found.entries, label: entry})
        fault = _fault(rules, tried)
        if fault and not _fault(rules, found):
            refused[label] = fault
        else:  # it fits, or what was there before is no better
            found = tried
    return found, refused


def _fault(rules: Iterable[Rule], content: Content) -> str:
    for rule in rules:
        try:
            bound(rule.needs, content)
        except EngineError as error:
            return str(error)
    return ""
