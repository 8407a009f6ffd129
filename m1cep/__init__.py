"""M1CEP: risk rules in standard SQL over streams of trading events.

streams = m1cep.parse_streams(ddl_text)
rule = m1cep.compile_rule(sql_text, streams)
engine = m1cep.Engine([rule])
alerts = engine.push("orders", events)
alerts += engine.finish()
"""

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
