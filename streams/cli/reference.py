"""docs/commands.md: every command with its example, and exit codes. ``python -m streams.cli.reference docs/commands.md``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """\
# Commands

Made by `python -m streams.cli.reference docs/commands.md`; a test keeps it current. `m1cep COMMAND --help` says all of it.

- `--json` is on every command: stdout then holds JSON alone, one object a line, for other programs. Logs go to stderr, always.
- Settings come from the environment (`M1CEP_BROKER` and others) or `m1cep.toml`; `m1cep doctor` shows them, and where each
  came from.
- Wrong input gives one line on stderr, with what was expected and what to do, and exit code 2.
- Tab completes commands, options, and names of rules, topics and agents:
  `eval "$(m1cep completion bash)"` in `~/.bashrc`; also for `zsh` and `fish`.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | the work itself failed: a bad rule, a check that does not hold, an order that would be refused |
| 2 | wrong option, setting or file: nothing was started |
| 3 | the broker or another server is missing, was lost, or refuses |
| 4 | the package index cannot be reached, or gave a file with another hash |
| 130 | ended by Ctrl-C, where a command does not take that for its usual end |

"""

_EXAMPLE = re.compile(r"Examples?:\s*((?:.*\bm1cep .*|M1CEP_.*)(?:\n(?!\s*\n).*)*)")


def command_tree() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that can be run, with its words after ``m1cep``."""
    from streams.cli.main import app

    yield from _below(typer.main.get_command(app), ())


def example_of(command: Any) -> str:
    """The example in a command's help; empty where there is none."""
    for text in (command.epilog, command.help):
        if found := _EXAMPLE.search(text or ""):
            return " ".join(found[1].split())
    return ""


def page() -> str:
    """The document."""
    lines, group = [], None
    for words, command in command_tree():
        if words[0] != group:
            group = words[0]
            lines += ["", f"## {group}", "", "| command | what it does | example |", "| --- | --- | --- |"]
        summary = " ".join((command.help or "").split("\n\n")[0].split())
        cells = (f"`m1cep {' '.join(words)}`", summary, f"`{example_of(command)}`")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return _HEAD + "\n".join(lines).lstrip("\n") + "\n"


def _below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield words, command
        return
    if command.invoke_without_command and words:
        yield words, command
    for name in command.commands:
        yield from _below(command.commands[name], (*words, name))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
