"""Generated source as a module: registered with linecache, so that tracebacks and debuggers show it; lines mapped to SQL."""

from __future__ import annotations

import builtins
import linecache
from dataclasses import dataclass, field
from typing import Any

from m1cep.model.alert import event_digest
from m1cep.runtime import exact, functions


@dataclass
class Source:
    """Python source under construction, with the SQL offset behind each line."""

    lines: list[str] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=dict)  # line number from 1 -> offset in the rule text

    def add(self, line: str = "", *, pos: int | None = None, indent: int = 0) -> None:
        """One more line; ``pos`` is where its SQL stands."""
        self.lines.append("    " * indent + line if line else "")
        if pos is not None:
            self.offsets[len(self.lines)] = pos

    def text(self) -> str:
        """The source so far."""
        return "\n".join(self.lines) + "\n"


@dataclass(frozen=True)
class Module:
    """Compiled source: its functions by name, and how its lines lie in the SQL."""

    filename: str
    text: str
    namespace: dict[str, Any]
    offsets: dict[int, int]

    def __getitem__(self, name: str) -> Any:
        return self.namespace[name]


def load(source: Source, filename: str, constants: dict[str, Any]) -> Module:
    """Compile generated source under ``<m1cep filename>``."""
    name = f"<m1cep {filename}>"
    text = source.text()
    namespace: dict[str, Any] = {n: v for m in (exact, functions) for n, v in vars(m).items() if not n.startswith("_")}
    namespace |= {"__name__": name, "event_digest": event_digest, "__builtins__": builtins}
    namespace |= constants
    exec(compile(text, name, "exec"), namespace)  # noqa: S102 - our own generated source is what this module is for
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    return Module(name, text, namespace, dict(source.offsets))
