"""Rules and stream declarations from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import m1cep
from m1cep.errors import EngineError
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep import Rule, Stream

STREAMS_FILE = "streams.sql"


def packaged_rules_dir() -> Path:
    """The folder of the rules that come with M1CEP."""
    here = Path(__file__).parent
    installed = here / "_rules"
    return installed if installed.is_dir() else here.parent / "rules"


def load_streams(path: str | Path | None = None) -> dict[str, Stream]:
    """The streams that a file declares; the built-in ones by default.

    Raises:
        UsageError: the file cannot be read.
        RuleError: it is not understood.
    """
    file = packaged_rules_dir() / STREAMS_FILE if path is None else Path(path)
    return m1cep.parse_streams(read_text(file), file.name)


def load_rules(paths: Iterable[str | Path] | None, streams: Mapping[str, Stream]) -> list[Rule]:
    """The rules of files and folders (``*.sql`` in them, at any depth, but ``streams.sql``); the packaged ones by default.

    Raises:
        UsageError: a path does not exist, or holds no rule.
        RuleError: a rule is refused.
        EngineError: two files have rules with the same id.
    """
    rules: dict[str, tuple[Rule, str]] = {}
    for file, name in rule_files(paths):
        rule = m1cep.compile_rule(read_text(file), streams, name)
        if rule.id in rules:
            raise EngineError(f"rule id {rule.id!r} stands in {rules[rule.id][1]} and in {name}: give one another id")
        rules[rule.id] = rule, name
    return [rule for rule, _ in rules.values()]


def rule_files(paths: Iterable[str | Path] | None) -> list[tuple[Path, str]]:
    """The rule files of files and folders, and the names by which messages cite them; the packaged ones by default.

    Raises:
        UsageError: a path does not exist, or holds no rule.
    """
    return [found for path in list(paths or []) or [packaged_rules_dir()] for found in _files_of(Path(path))]


def _files_of(path: Path) -> list[tuple[Path, str]]:
    if path.is_file():
        return [(path, path.name)]
    if not path.is_dir():
        raise UsageError(f"there is no rule file or folder {path}")
    files = sorted(f for f in path.rglob("*.sql") if f.name != STREAMS_FILE)
    if not files:
        raise UsageError(f"the folder {path} holds no rule (*.sql)")
    return [(f, f.relative_to(path).as_posix()) for f in files]


def read_text(file: Path) -> str:
    """A text file.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text: byte {error.start}") from error
