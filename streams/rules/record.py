"""A record of the rules topic: what is to be done with one rule, and what was to be done before."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import version
from typing import Literal

import msgspec

from streams.errors import ShellError

RULES = "m1cep.rules.v1"
#: The records that a record remembers.
BEFORE = 10
_MAX_BYTES = 900_000  # Kafka takes a megabyte by default

Mode = Literal["active", "shadow", "disabled", "proposed"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody has decided about a rule.

    Attributes:
        rule: id.
        version: of the text; of a rule from a file, what it was when this was decided.
        text: the SQL with its front matter; None: that of the rule's file.
        mode: ``active``; ``shadow``: runs, its alerts go to a topic of their own; ``disabled``; ``proposed``: waits for a second
            person.
        by: who.
        approved_by: the second person; None where nobody was asked for.
        made_with: version of M1CEP of the command that wrote it.
        proposed_mode: of a proposal, the mode that is proposed.
    """

    rule: str
    version: str
    text: str | None
    mode: Mode
    by: str
    time_ms: int
    note: str = ""
    approved_by: str | None = None
    made_with: str = ""
    proposed_mode: Literal["active", "shadow"] | None = None


class RuleRecord(Entry, frozen=True, kw_only=True):
    """An entry, and those before it, newest first."""

    before: tuple[Entry, ...] = ()

    @property
    def in_force(self) -> Entry | None:
        """What holds now: a proposal changes nothing."""
        return next((one for one in (self, *self.before) if one.mode != "proposed"), None)

    def to_json(self) -> bytes:
        """The value of the Kafka record.

        Raises:
            ShellError: it is larger than Kafka takes.
        """
        value = msgspec.json.encode(self)
        if len(value) > _MAX_BYTES:
            raise ShellError(
                f"the record of rule {self.rule} would have {len(value)} bytes with those before it, more than {_MAX_BYTES}",
                "make the rule's text shorter",
            )
        return value


_decoder = msgspec.json.Decoder(RuleRecord)


def parse(key: bytes | None, value: bytes) -> RuleRecord:
    """A record of the topic.

    Raises:
        ShellError: it is none, or its key is not the rule's id.
    """
    try:
        record = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ShellError(
            f"a record of {RULES} cannot be read: {error}",
            "it may have been written by a newer version of m1cep: use that one, or deploy the rule again",
        ) from None
    if key is None or key.decode(errors="replace") != record.rule:
        raise ShellError(f"a record of {RULES} has the key {key!r}, expected its rule's id {record.rule!r}")
    return record


def following(previous: RuleRecord | None, entry: Entry) -> RuleRecord:
    """The record of a new entry, which remembers those before it; among them always the one in force.

    Its time is later than that of the one before, whatever the clocks of two machines say.
    """
    before: tuple[Entry, ...] = ()
    if previous is not None:
        entry = msgspec.structs.replace(entry, time_ms=max(entry.time_ms, previous.time_ms + 1))
        whole = (plain(previous), *previous.before)
        before = whole[:BEFORE]
        holds = previous.in_force
        if holds is not None and all(one.mode == "proposed" for one in before):
            before = (*before[: BEFORE - 1], plain(holds))
    return RuleRecord(**msgspec.structs.asdict(entry), before=before)


def plain(entry: Entry) -> Entry:
    """The entry without those before it."""
    return Entry(**{name: getattr(entry, name) for name in Entry.__struct_fields__})


@lru_cache(1)
def our_version() -> str:
    """Of this M1CEP."""
    return version("m1cep")


def is_newer(made_with: str, than: str) -> bool:
    """Whether one version of M1CEP is newer than another, by their numbers; what has none is not."""
    return _numbers(made_with) > _numbers(than)


def _numbers(version_text: str) -> list[int]:
    found = re.match(r"\d+(\.\d+)*", version_text)
    return [int(part) for part in found[0].split(".")] if found else []
