"""Generated source as a module: registered with linecache, so that tracebacks and debuggers show it; lines mapped to SQL."""

from __future__ import annotations

import builtins
import linecache
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from m1cep.model import types
from m1cep.model.alert import event_digest
from m1cep.runtime import exact, functions, texts
from m1cep.runtime.lookups import Binding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType


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
    """Compiled source: its functions by name, and how its lines lie in the SQL.

    ``bindings`` are the names in it whose values the engine supplies (lists, parameters).
    """

    filename: str
    text: str
    namespace: dict[str, Any]
    offsets: dict[int, int]
    code: CodeType
    bindings: Mapping[str, Binding]

    def __getitem__(self, name: str) -> Any:
        return self.namespace[name]

    def instance(self) -> Module:
        """A module of its own for an engine to put values into; the same one where there is nothing to put in."""
        if not self.bindings:
            return self
        namespace = dict(self.namespace)
        exec(self.code, namespace)  # noqa: S102 - as in load
        return replace(self, namespace=namespace)


def load(source: Source, filename: str, constants: dict[str, Any]) -> Module:
    """Compile generated source under ``<m1cep filename>``. A Binding among the constants gets its value from the engine."""
    name = f"<m1cep {filename}>"
    text = source.text()
    namespace: dict[str, Any] = {
        n: v for m in (exact, functions, texts) for n, v in vars(m).items() if not n.startswith("_")
    }
    namespace |= {n: v for n, v in vars(types).items() if n.startswith(("MIN_", "MAX_"))}
    namespace |= {"__name__": name, "event_digest": event_digest, "attrgetter": attrgetter, "__builtins__": builtins}
    bindings = {n: c for n, c in constants.items() if isinstance(c, Binding)}
    namespace |= {n: c.default if isinstance(c, Binding) else c for n, c in constants.items()}
    code = compile(text, name, "exec")
    exec(code, namespace)  # noqa: S102 - our own generated source is what this module is for
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    return Module(name, text, namespace, dict(source.offsets), code, bindings)
