"""Runs a rule's generated code, and code that answers questions, over rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from m1cep.plan.ir import TRUE, WINDOW_COLUMN, WINDOW_END, WINDOW_START, Agg, Col, FilterPlan, Literal, Param, walk
from m1cep.rule import generate
from m1cep.runtime.batch import Batch
from m1cep.runtime.lookups import bound
from m1cep.whynot.questions import Questions
from m1cep.whynot.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from m1cep.codegen.module import Module
    from m1cep.model.stream import Stream
    from m1cep.plan.ir import Expr, Output, OverPlan, Plan, WindowPlan
    from m1cep.rule import Rule
    from m1cep.runtime.lookups import Lookups
    from m1cep.runtime.outcome import Hit, Operator


class Asker:
    """A rule and the lists and parameters that it reads."""

    def __init__(self, rule: Rule, lookups: Lookups) -> None:
        self.rule = rule
        self._lookups = lookups

    def bind(self, module: Module) -> Module:
        """A module of its own, with the lists and parameters as they are."""
        own = module.instance()
        if own.bindings:
            own.namespace.update(bound(replace(self.rule.needs, bindings=own.bindings), self._lookups))
        return own

    def started(self) -> tuple[Module, Operator]:
        """The rule as the engine runs it."""
        module = self.bind(self.rule.module)
        return module, self.rule.start(module)

    def unsuppressed(self, plan: Plan | None = None, source: Stream | None = None) -> tuple[Module, Operator]:
        """The rule, or another plan in its place, telling every match."""
        matter = self.rule.matter.model_copy(update={"suppress": None})
        wanted, stream = plan or self.rule.plan, source or self.rule.source
        code, start = generate(wanted, stream, f"why not {self.rule.id}", matter)
        module = self.bind(code)
        return module, start(module)

    def hits(self, plan: Plan, rows: Sequence[Any], source: Stream | None = None) -> list[Hit]:
        """What a plan makes of rows in event-time order."""
        _, operator = self.unsuppressed(plan, source)
        out: list[Hit] = []
        operator.feed(Batch(rows, 0), out)
        operator.finish(out)
        return out

    def each_row(
        self, source: Stream, key: tuple[Col, ...], condition: Expr, rows: Sequence[Any]
    ) -> tuple[Questions, list[Hit]]:
        """A condition on rows one by one: of each row a hit with the answers."""
        questions = Questions(Wording(self.rule.text))
        questions.ask(condition)
        plan = FilterPlan(source.name, key, TRUE, questions.outputs())
        return questions, self.hits(plan, rows, source)


def answers(hit: Hit) -> list[Any]:
    """The values of the questions that a hit's row answers."""
    return list(hit.row.values())


def group_wording(plan: OverPlan | WindowPlan, aggregates: Sequence[Agg], text: str) -> Wording:
    """Calls the values of aggregates and the bounds of windows as the SELECT list does, else what they are."""
    plain: dict[Expr, str] = {}
    for expr in (plan.having, *(o.expr for o in plan.select)):
        for e in walk(expr):
            if isinstance(e, Col) and e.name.startswith(WINDOW_COLUMN):
                plain[e] = Wording(text).sql(aggregates[int(e.name.removeprefix(WINDOW_COLUMN))])
            elif isinstance(e, Col) and e.name in {WINDOW_START, WINDOW_END}:
                plain[e] = e.attr
    return Wording(text, names=named_in(plan.select), plain=plain)


def named_in(select: Iterable[Output]) -> Mapping[Expr, str]:
    """What a SELECT list gives a name; conditions and plain columns have their own."""

    def plain(e: Expr) -> bool:
        return isinstance(e, Literal | Param) or (isinstance(e, Col) and not e.name.startswith("\0"))

    return {o.expr: o.name for o in select if not plain(o.expr) and o.expr.type.kind != "BOOLEAN"}
