"""M1CEP: risk rules in standard SQL over streams of trading events.

streams = m1cep.parse_streams(ddl_text)
rule = m1cep.compile_rule(sql_text, streams)
engine = m1cep.Engine([rule])
alerts = engine.push("orders", events)
alerts += engine.finish()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m1cep.engine import Engine, Late
    from m1cep.errors import EngineError, EventError, M1cepError, RuleError, RuleFailure
    from m1cep.model.alert import Alert
    from m1cep.model.stream import Stream
    from m1cep.rule import Rule, compile_rule
    from m1cep.runtime.lookups import FixedLookups, Lookups, Parameter
    from m1cep.sql.ddl import parse_streams

__all__ = [
    "Alert",
    "Engine",
    "EngineError",
    "EventError",
    "FixedLookups",
    "Late",
    "Lookups",
    "M1cepError",
    "Parameter",
    "Rule",
    "RuleError",
    "RuleFailure",
    "Stream",
    "compile_rule",
    "parse_streams",
]

#: Where each name is. They are imported when first used: a process that has no rules (a signer, most commands) starts in half
#: the time without the compiler.
_MODULES = {
    "m1cep.engine": ("Engine", "Late"),
    "m1cep.errors": ("EngineError", "EventError", "M1cepError", "RuleError", "RuleFailure"),
    "m1cep.model.alert": ("Alert",),
    "m1cep.model.stream": ("Stream",),
    "m1cep.rule": ("Rule", "compile_rule"),
    "m1cep.runtime.lookups": ("FixedLookups", "Lookups", "Parameter"),
    "m1cep.sql.ddl": ("parse_streams",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'm1cep' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
