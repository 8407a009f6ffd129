"""Whether a command line of ``m1cep`` could be given: its command and options exist, and nothing that is needed is missing.

Nothing is run, and values are not looked at: files that a document names need not be there.
"""

from functools import cache
from typing import Any

import typer

from streams.cli.main import app


@cache
def _surface() -> Any:
    """Putting all commands together takes longer than looking at a line."""
    return typer.main.get_command(app)


def fault(words: list[str]) -> str:
    """What is wrong with ``m1cep WORDS...``; empty when nothing is."""
    command = _surface()
    context = command.context_class(command, info_name="m1cep")
    rest = list(words)
    name = "m1cep"
    while hasattr(command, "commands"):
        if not rest or rest[0].startswith("-"):
            break
        child = command.commands.get(rest[0])
        if child is None:
            return f"{name} has no command {rest[0]!r}"
        name += f" {rest[0]}"
        context = child.context_class(child, parent=context, info_name=rest.pop(0), **child.context_settings)
        command = child
    try:
        values, left, _ = command.make_parser(context).parse_args(rest)
    except Exception as error:  # noqa: BLE001 - typer's own click has its own classes
        return f"{name}: {getattr(error, 'message', error)}"
    if left and not context.allow_extra_args:
        return f"{name} takes no {' '.join(left)!r}"
    if {"help", "version"} & values.keys():
        return ""
    if hasattr(command, "commands") and not command.invoke_without_command:
        return f"{name} needs a command"
    missing = [
        p.opts[0]
        for p in command.params
        if p.required
        and (values.get(p.name) is None or values.get(p.name) == () or "UNSET" in repr(values.get(p.name)))
    ]
    return f"{name} needs {', '.join(missing)}" if missing else ""
