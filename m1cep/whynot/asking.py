"""Runs a rule's generated code, and code that answers questions, over rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from m1cep.codegen.over import generate_over
from m1cep.plan.ir import WINDOW_COLUMN, WINDOW_END, WINDOW_START, Agg, Col, Literal, Param, walk
from m1cep.plan.plans import OverPlan
from m1cep.rule import generate
from m1cep.runtime.batch import Batch
from m1cep.runtime.lookups import bound
from m1cep.runtime.simple import SlidingWindow
from m1cep.runtime.suppress import Suppressor
from m1cep.whynot.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from m1cep.codegen.module import Module
    from m1cep.model.stream import Stream
    from m1cep.plan.ir import Expr
    from m1cep.plan.plans import Output, Plan, WindowPlan
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

    def unsuppressed(self) -> tuple[Module, Operator]:
        """The rule telling every match."""
        module, start = self._generated(self.rule.plan, self.rule.source)
        return module, start(module)

    def _generated(self, plan: Plan, source: Stream) -> tuple[Module, Callable[[Module], Operator]]:
        if (
            isinstance(plan, OverPlan) and plan is not self.rule.plan
        ):  # every row answers: all ids of each would be too many
            code = generate_over(plan, source, f"why not {self.rule.id}", all_ids=False)
            return self.bind(code), lambda module: SlidingWindow(module, Suppressor(None), ())
        matter = self.rule.matter.model_copy(update={"suppress": None})
        code, start = generate(plan, source, f"why not {self.rule.id}", matter)
        return self.bind(code), start

    def prepare(self, plan: Plan, source: Stream | None = None) -> Callable[[Sequence[Any]], list[Hit]]:
        """Makes code for a plan, and gives what tells what the plan makes of rows in event-time order."""
        module, start = self._generated(plan, source or self.rule.source)

        def hits(rows: Sequence[Any]) -> list[Hit]:
            operator = start(module)
            out: list[Hit] = []
            operator.feed(Batch(rows, 0), out)
            operator.finish(out)
            return out

        return hits


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
