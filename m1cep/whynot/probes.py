"""Questions about a row pattern's conditions, as functions on the memory of an attempt.

ask_A(r, c, log, j, s)      answers of A's questions on row ``r``: those about what was taken before on the memory ``c``, those
                            about A's own rows on the memory with ``r`` as one of them
after(m, z, k, n, r)        answers of the questions of WHERE behind the pattern
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m1cep.codegen.common import identifier, key_parts
from m1cep.codegen.module import Source, load
from m1cep.codegen.slots import SlotWriter
from m1cep.plan.ir import conjuncts
from m1cep.plan.slots import places, plan_slots
from m1cep.whynot.asking import named_in
from m1cep.whynot.questions import Question, Questions
from m1cep.whynot.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.plan.ir import Expr
    from m1cep.plan.plans import MatchPlan
    from m1cep.plan.program import Program
    from m1cep.whynot.asking import Asker


class Probes:
    """What may be asked of a pattern's attempts.

    Attributes:
        questions: of each variable's condition.
        after_questions: of WHERE behind the pattern.
    """

    def __init__(self, asker: Asker, plan: MatchPlan, program: Program) -> None:
        self._plan = plan
        self._text = asker.rule.text
        self._conditions = SlotWriter(plan, plan_slots(plan.define.values(), both_ways=True))  # as in codegen.match
        self._out = Source()
        self._out.add(f"LABELS = {program.labels!r}")
        self.questions = {v: self._ask(v, condition) for v, condition in plan.define.items()}
        self.after_questions = self._after()
        module = asker.bind(load(self._out, f"why not {asker.rule.id}", self._conditions.writer.constants))
        self._asks = {v: module[f"ask_{identifier(v)}"] for v in plan.define}
        self.after = module["after"]

    def ask(self, variable: str, row: Any, memory: Any, log: Sequence[Any], j: int, state: int) -> list[Any]:
        """Answers of a variable's questions on a row."""
        found: list[Any] = self._asks[variable](row, memory, log, j, state)
        return found

    def _ask(self, variable: str, condition: Expr) -> tuple[Question, ...]:
        asked = Questions(Wording(self._text, variable))
        before: list[tuple[int, str]] = []
        after: list[tuple[int, str]] = []
        found: list[Question] = []
        with self._conditions.mapping(variable):
            for part in conjuncts(condition):
                own = any(variable in self._plan.members(place.variable) for place in places(part))
                first = len(asked.exprs)
                found += asked.ask(part)
                answers = [(i, self._conditions.writer.value(e)) for i, e in enumerate(asked.exprs[first:], first)]
                (after if own else before).extend(answers)
            memory = self._conditions.forward(variable)
        out = self._out
        out.add(f"def ask_{identifier(variable)}(r, c, log, j, s):")
        out.add("v = {}", indent=1)
        for i, source in before:
            out.add(f"v[{i}] = {source}", indent=1)
        if after:
            out.add(f"c = {memory}", indent=1)
        for i, source in after:
            out.add(f"v[{i}] = {source}", indent=1)
        out.add(f"return [v[i] for i in range({len(asked.exprs)})]", indent=1)
        out.add()
        return tuple(found)

    def _after(self) -> tuple[Question, ...]:
        plan = self._plan
        shown = (*(o.expr for o in plan.select), plan.having)
        measures = SlotWriter(plan, plan_slots(shown))
        measures.writer.constants = self._conditions.writer.constants
        measures.columns = {} if plan.all_rows else key_parts(plan.key)
        measures.showing = True
        asked = Questions(Wording(self._text, names=named_in(plan.select)))
        found = asked.ask(plan.having)
        self._out.add("def after(m, z, k, n, r):")
        self._out.add(f"return [{', '.join(measures.writer.value(e) for e in asked.exprs)}]", indent=1)
        return found
