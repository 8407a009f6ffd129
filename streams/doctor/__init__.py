"""``m1cep doctor``: what this installation is, what it is set to, and whether what it needs can be reached.

Each module looks at one thing and gives findings; none of them changes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.doctor import installation, machine, servers, settings, signers
from streams.doctor.findings import Finding, exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "examine", "exit_code"]


def examine(*, offline: bool = False) -> Iterator[Finding]:
    """Every finding, as it is made.

    Args:
        offline: do not ask the package index.
    """
    yield from installation.look()
    yield from machine.look()
    found, wrong = settings.read()
    yield from wrong
    if found is not None:
        yield from settings.look(found)
        yield from machine.look_at_home(found)
        yield from servers.look(found)
        yield from signers.look(found)
    if not offline:
        yield from installation.look_at_index()
