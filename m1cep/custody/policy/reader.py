"""YAML as people write policies, read strictly: every scalar is text until a field says what it is, every key is known and once.

YAML's own guesses (``no`` is false, ``0100`` is 64, the later of two equal keys wins) would change what a policy allows, so none
is used; aliases, tags and several documents are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeVar

import yaml

from m1cep.errors import PolicyError, SourceText, nearest
from m1cep.model.time import parse_duration_us

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from enum import StrEnum

    _Enum = TypeVar("_Enum", bound=StrEnum)
_Item = TypeVar("_Item")

MAX_CHARACTERS = 100_000
_DEEPEST = 12
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@/+-]{0,127}")
_WHOLE = re.compile(r"0|[1-9][0-9]*(_[0-9]{3})*")


@dataclass(frozen=True, slots=True)
class Node:
    """A value in the file, which can say where it is.

    Attributes:
        what: as messages call it, such as ``rules[2].when``.
    """

    node: yaml.Node
    source: SourceText
    what: str

    def refuse(self, message: str, *, hint: str = "") -> NoReturn:
        """Raise the error that points here.

        Raises:
            PolicyError: always.
        """
        begin, end = self.node.start_mark.index, self.node.end_mark.index
        length = len(self.source.text[begin:end].split("\n")[0]) or 1
        raise PolicyError(f"{self.what}: {message}", self.source, begin, length=length, hint=hint)

    # -- values

    def text(self) -> str:
        """Text that can be printed, on one line."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.refuse(f"expected text, got {_kind(self.node)}")
        value = str(self.node.value)
        if not value or len(value) > 280 or not value.isprintable():
            self.refuse(f"expected 1 to 280 printable characters on one line, got {len(value)}: {value[:40]!r}")
        return value

    def name(self) -> str:
        """A name without white space."""
        value = self.text()
        if not _NAME.fullmatch(value):
            self.refuse(f"expected a name of letters, digits and _.:@/+- of at most 128 characters, got {value[:40]!r}")
        return value

    def whole(self, least: int = 0) -> int:
        """A whole number, written out; ``1_000_000`` may be grouped by threes."""
        value = self.text()
        if not _WHOLE.fullmatch(value) or len(value) > 100:
            self.refuse(
                f"expected a whole number such as 1_000_000, got {value[:40]!r}",
                hint="amounts are in minor units: satoshi, lamport, wei",
            )
        number = int(value.replace("_", ""))
        if number < least:
            self.refuse(f"expected at least {least}, got {number}")
        return number

    def duration_ms(self) -> int:
        """Milliseconds of a duration such as ``24 h``."""
        try:
            micros = parse_duration_us(self.text())
        except ValueError as error:
            self.refuse(str(error))
        if micros % 1_000 or not 1_000 <= micros < 2**53:
            self.refuse(f"expected a duration of whole milliseconds, at least one, got {self.text()!r}")
        return micros // 1_000

    def word(self, words: type[_Enum]) -> _Enum:
        """One of a few words."""
        value = self.text()
        known = {word.value: word for word in words}
        if value not in known:
            self.refuse(f"expected one of {', '.join(known)}, got {value[:40]!r}", hint=nearest(value, known))
        return known[value]

    def one_of(self, names: Iterable[str], thing: str) -> str:
        """A name that was declared elsewhere in the file."""
        value, known = self.name(), list(names)
        if value not in known:
            self.refuse(f"there is no {thing} {value!r}", hint=nearest(value, known))
        return value

    # -- what holds others

    def items(self, read: Callable[[Node], _Item]) -> tuple[_Item, ...]:
        """A list that is not empty."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.refuse(f"expected a list, got {_kind(self.node)}")
        if not self.node.value:
            self.refuse("expected a list of at least one, got an empty one")
        return tuple(read(Node(item, self.source, f"{self.what}[{n}]")) for n, item in enumerate(self.node.value, 1))

    def names(self) -> tuple[str, ...]:
        """A list of different names."""
        seen: set[str] = set()

        def once(item: Node) -> str:
            name = item.name()
            if name in seen:
                item.refuse(f"{name!r} is there twice")
            seen.add(name)
            return name

        return self.items(once)

    def entries(self) -> dict[str, Node]:
        """Keys and values; of each key one."""
        if not isinstance(self.node, yaml.MappingNode):
            self.refuse(f"expected 'key: value' lines, got {_kind(self.node)}")
        found: dict[str, Node] = {}
        for key_node, value_node in self.node.value:
            key = Node(key_node, self.source, f"a key of {self.what}").name()
            if key in found:
                Node(key_node, self.source, self.what).refuse(f"{key!r} is there twice")
            found[key] = Node(value_node, self.source, f"{self.what}.{key}" if self.what != "policy" else key)
        return found

    def fields(self, known: Collection[str], needed: Collection[str] = ()) -> dict[str, Node]:
        """Keys and values, where only some keys may be there and some must."""
        found = self.entries()
        for name in found:
            if name not in known:
                key = next(k for k, _ in self.node.value if k.value == name)
                Node(key, self.source, self.what).refuse(f"there is no key {name!r}", hint=nearest(name, known))
        for name in needed:
            if name not in found:
                self.refuse(f"expected the key {name!r}, which is missing")
        return found


def read(source: SourceText) -> Node:
    """The root of a file.

    Raises:
        PolicyError: it is too long, not YAML, empty, or uses what is not allowed here.
    """
    if len(source.text) > MAX_CHARACTERS:
        raise PolicyError(f"expected at most {MAX_CHARACTERS} characters, got {len(source.text)}", source)
    try:
        _check_events(source)
        node = yaml.compose(source.text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = mark.index if mark else 0
        raise PolicyError(f"this is not YAML: {error.problem or error.context}", source, at) from None
    except yaml.reader.ReaderError as error:
        raise PolicyError(f"this is not YAML: {error.reason}", source, error.position) from None
    if node is None:
        raise PolicyError("expected a policy, got an empty file", source)
    return Node(node, source, "policy")


def _check_events(source: SourceText) -> None:
    depth = documents = 0
    for event in yaml.parse(source.text, Loader=yaml.SafeLoader):
        at = event.start_mark.index if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise PolicyError("aliases and anchors (& and *) are not read here: write it out", source, at)
        if getattr(event, "tag", None):
            raise PolicyError("tags (!) are not read here", source, at)
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise PolicyError("expected one document, got a second one", source, at)
        if depth > _DEEPEST:
            raise PolicyError(f"expected values nested at most {_DEEPEST} deep", source, at)


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"{node.value[:40]!r}"
    return "a list" if isinstance(node, yaml.SequenceNode) else "'key: value' lines"
