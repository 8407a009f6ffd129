"""Lists and parameters from a folder.

lists/NAME.txt   IN_LIST('NAME', x): one entry a line; a line that begins with # is a comment
params.yaml      PARAM('name', key) and the values of rules' :name

max_notional: {default: 100000, a1: 5}    # by key; default for the other keys
trading_halted: false                     # the same for all
rules: {layering: {min_orders: 4}}        # in place of the front matter's
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from m1cep import FixedLookups, Parameter
from m1cep.model.parameter import parameter
from streams.errors import UsageError
from streams.files import packaged_rules_dir, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")
_RULES = "rules"  # the one entry of params.yaml that is no parameter
_DEFAULT = "default"
_TEXT, _INTEGER = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"


def load_lookups(folder: str | Path | None = None) -> FixedLookups:
    """The lists and parameters of a folder; the packaged ones by default.

    Raises:
        UsageError: the folder or a file in it cannot be read, or is not of the form above; names file and line.
    """
    path = packaged_rules_dir() / "lookups" if folder is None else Path(folder)
    if not path.is_dir():
        raise UsageError(f"there is no folder {path}", "it has lists/NAME.txt and params.yaml")
    lists, params = path / "lists", path / "params.yaml"
    if not lists.is_dir() and not params.is_file():
        raise UsageError(f"the folder {path} has neither lists/ nor params.yaml")
    files = sorted(f for f in lists.iterdir() if not f.name.startswith(".")) if lists.is_dir() else []
    entries = {_list_name(file): _entries(file) for file in files}
    found, overrides = _params(params) if params.is_file() else ({}, {})
    return FixedLookups(entries, found, overrides)


def load_params(file: Path) -> tuple[dict[str, Parameter], dict[str, dict[str, Any]]]:
    """The parameters of a file like params.yaml, and the values of rules' ``:name`` by rule.

    Raises:
        UsageError: it cannot be read, or is not of that form; names file and line.
    """
    return _params(file)


def _list_name(file: Path) -> str:
    if file.suffix != ".txt" or not file.is_file() or not _NAME.fullmatch(file.stem):
        raise UsageError(f"{file} is not a list", "a list is a file NAME.txt, NAME of letters, digits, _ . -")
    return file.stem


def _entries(file: Path) -> list[str]:
    found: list[str] = []
    for number, line in enumerate(read_text(file).removeprefix("\ufeff").split("\n"), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if not entry.isprintable():
            raise UsageError(f"{file}, line {number}: expected an entry of printable characters, got {entry[:60]!r}")
        found.append(entry)
    return found


def _params(file: Path) -> tuple[dict[str, Parameter], dict[str, dict[str, Any]]]:
    refuse = _refuser(file)
    try:
        root = yaml.compose(read_text(file), yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise refuse(f"not YAML: {getattr(error, 'problem', error)}", mark) from None
    params: dict[str, Parameter] = {}
    rules: dict[str, dict[str, Any]] = {}
    for name, node in _items(root, refuse, "name: value"):
        if name == _RULES:
            for rule, values in _items(node, refuse, "rule: {name: value}"):
                rules[rule] = {n: _scalar(v, refuse) for n, v in _items(values, refuse, "name: value")}
        elif isinstance(node, yaml.MappingNode):
            by_key = {key: _scalar(value, refuse) for key, value in _items(node, refuse, "key: value")}
            params[name] = Parameter(by_key.pop(_DEFAULT, None), by_key)
        else:
            params[name] = Parameter(_scalar(node, refuse))
    return params, rules


def _refuser(file: Path) -> Callable[[str, Any], UsageError]:
    def refuse(message: str, mark: Any) -> UsageError:
        line = f", line {mark.line + 1}" if mark is not None else ""
        return UsageError(f"{file}{line}: {message}")

    return refuse


def _items(node: Any, refuse: Callable[[str, Any], UsageError], form: str) -> Iterator[tuple[str, Any]]:
    """Keys, as they are written, and their nodes; of an empty file none."""
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise refuse(f"expected {form}, got {getattr(node, 'value', '')!r:.60}", node.start_mark)
    seen: set[str] = set()
    for key, value in node.value:
        # YAML reads NO as false and 1e3 as a number: such an account must stand in quotes
        if not isinstance(key, yaml.ScalarNode) or key.tag not in {_TEXT, _INTEGER}:
            raise refuse(f"expected a name, got {key.value!r:.60}: write it in quotes", key.start_mark)
        if key.value in seen:
            raise refuse(f"{key.value!r} stands here twice", key.start_mark)
        seen.add(key.value)
        yield key.value, value


def _scalar(node: Any, refuse: Callable[[str, Any], UsageError]) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        raise refuse("expected one value, not several", node.start_mark)
    try:
        value = yaml.SafeLoader("").construct_object(node)
        parameter(value)
    except (ValueError, yaml.YAMLError):
        expected = "a number, text, a duration or true/false"
        raise refuse(f"expected {expected}, got {node.value!r:.60}", node.start_mark) from None
    return value
