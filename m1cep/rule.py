"""Rules: a text compiled to something the engine can run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from m1cep.codegen.expr import TooComplexError
from m1cep.codegen.filtering import generate_filter
from m1cep.codegen.join import generate_join
from m1cep.codegen.match import generate_match
from m1cep.codegen.over import generate_over
from m1cep.codegen.windows import generate_windows
from m1cep.errors import RuleError, SourceText
from m1cep.model.joined import Joined, join_source
from m1cep.model.lanes import over_lanes
from m1cep.model.time import in_unit
from m1cep.plan.constants import any_of
from m1cep.plan.join import JoinPlan
from m1cep.plan.plans import FilterPlan, MatchPlan, OverPlan, Plan, WindowPlan
from m1cep.plan.program import compile_program
from m1cep.plan.sharing import way_to_follow
from m1cep.runtime.deferred import DeferredWindow
from m1cep.runtime.groups import GroupMatcher
from m1cep.runtime.hopping import HoppingWindows
from m1cep.runtime.join import IntervalJoin
from m1cep.runtime.lookups import Needs
from m1cep.runtime.matcher import Setup
from m1cep.runtime.runs import RunMatcher
from m1cep.runtime.simple import RowFilter, SlidingWindow
from m1cep.runtime.suppress import Suppressor
from m1cep.runtime.threads import ThreadMatcher
from m1cep.runtime.windows import GrowingWindows, SessionWindows
from m1cep.sql.frontmatter import FrontMatter, front_matter
from m1cep.sql.statement import plan_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from m1cep.codegen.module import Module
    from m1cep.model.lanes import Lanes
    from m1cep.model.stream import Stream
    from m1cep.plan.constants import Constants
    from m1cep.plan.plans import WindowShape
    from m1cep.runtime.outcome import Operator

_WINDOWS: dict[str, Callable[[Module, WindowShape, Suppressor, Constants], Operator]] = {
    "TUMBLE": GrowingWindows,
    "CUMULATE": GrowingWindows,
    "HOP": HoppingWindows,
    "SESSION": SessionWindows,
}


@dataclass(frozen=True)
class Rule:
    """A compiled rule.

    Attributes:
        id: from the front matter, else from the name of the text, else from its hash.
        version: 12 hexadecimal digits of SHA-256 over the text: another text is another version.
        matter: the front matter: severity, summary, source, action, parameters.
        text: the rule as written.
        plan: what it does.
        module: the generated Python.
        source: the stream or view that it reads; of a join both sides as one.
        inputs: that stream, or those that the view unites or the join reads.
        known_streams: every base stream that was declared when the rule was compiled.
        needs: the lists and parameters that it reads.
        start: makes a new running instance of the module, or of an :meth:`instance` of it.
    """

    id: str
    version: str
    matter: FrontMatter
    text: str
    plan: Plan
    module: Module
    source: Stream
    inputs: tuple[Stream, ...]
    known_streams: frozenset[str]
    needs: Needs
    start: Callable[[Module], Operator] = field(repr=False)

    @property
    def severity(self) -> str:
        """Info | low | medium | high | critical."""
        return self.matter.severity

    @property
    def summary(self) -> str:
        """One sentence for whoever reads the alert."""
        return self.matter.summary

    @property
    def action(self) -> str:
        """Alert | freeze_account | halt_grid | hold_withdrawal."""
        return self.matter.action

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the base streams that the rule reads."""
        return tuple(s.name for s in self.inputs)

    def over_lanes(self, lanes: Lanes, name: str) -> Rule:
        """The same rule, giving the same alerts, where its streams arrive in lanes.

        Args:
            lanes: of each base stream whose rows matter; the others are not read.
            name: to tell its source from others; see :func:`m1cep.model.lanes.over_lanes`.
        """
        source = over_lanes(self.source, lanes, name)
        by_name = {one.name: one for several in lanes.values() for one in several}
        inputs = tuple(by_name[n] for n in source.inputs)
        return replace(self, source=source, inputs=inputs, known_streams=self.known_streams | by_name.keys())


def compile_rule(sql_text: str, streams: Mapping[str, Stream], name: str = "") -> Rule:
    """A rule from its text.

    Args:
        sql_text: front matter (optional) and one SELECT.
        streams: what FROM may name, by name.
        name: of the text in messages and tracebacks, such as its file name.

    Raises:
        RuleError: the text is not a rule; says where and what to do.
    """
    version = hashlib.sha256(sql_text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    source = SourceText(sql_text, name or "rule")
    try:
        matter = front_matter(source)
        plan, fixed = plan_statement(source, matter, streams)
        _check_action(matter.action, plan, source)
        rule_id = matter.id or _id_from(name) or f"rule-{version}"
        if isinstance(plan, JoinPlan):
            stream = join_source(streams[plan.left.stream], streams[plan.right.stream])
        else:
            stream = next(s for n, s in streams.items() if n == plan.source)
        module, start = generate(plan, stream, name or rule_id, matter)
    except (RecursionError, TooComplexError):
        raise RuleError("the statement is nested too deeply", source, hint="write it flatter") from None
    needs = Needs(rule_id, module.bindings, matter.typed_params(), fixed, matter.on_missing)
    inputs = tuple(streams[n] for n in stream.inputs)
    known = frozenset(s.name for s in streams.values() if not s.is_view)
    return Rule(rule_id, version, matter, sql_text, plan, module, stream, inputs, known, needs, start)


def _check_action(action: str, plan: Plan, source: SourceText) -> None:
    """An action names its account by the alert's key: without one it would be carried out on nobody."""
    key = [column.name for column in plan.key]
    if action in {"freeze_account", "hold_withdrawal"} and "account" not in key:
        raise RuleError(
            f"action: {action} needs the column account in the rule's key, which is {', '.join(key) or '(none)'}",
            source,
            hint="PARTITION BY account, or GROUP BY it in a window; or leave the action out",
        )


def _id_from(name: str) -> str:
    stem = name.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".sql").lower()
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in stem).strip("-_")


def generate(plan: Plan, stream: Stream, name: str, matter: FrontMatter) -> tuple[Module, Callable[[Module], Operator]]:
    """The code of a plan over ``stream``, and what starts it."""
    suppress = None if matter.suppress_us is None else in_unit(matter.suppress_us, stream.time_unit)
    match plan:
        case FilterPlan():
            module = generate_filter(plan, stream, name)
            return module, lambda module: RowFilter(module, Suppressor(suppress), any_of([plan.where]))
        case OverPlan():
            module = generate_over(plan, stream, name)
            window = DeferredWindow if "enough" in module.namespace else SlidingWindow
            return module, lambda module: window(module, Suppressor(suppress), any_of([plan.where]))
        case JoinPlan():
            left, right = (stream.left, stream.right) if isinstance(stream, Joined) else (stream, stream)
            module = generate_join(plan, left, right, name)
            demands = any_of([plan.left.where, plan.right.where]) if stream == left else ()
            return module, lambda module: IntervalJoin(module, plan, Suppressor(suppress), demands)
        case WindowPlan(shape=shape):
            module = generate_windows(plan, stream, name)
            windows = _WINDOWS[shape.kind]
            return module, lambda module: windows(module, shape, Suppressor(suppress), any_of([plan.where]))
        case MatchPlan():
            return _generate_match(plan, stream, name, matter, suppress)


_MATCHERS: dict[str, Callable[[Setup], Operator]] = {
    "GROUPS": GroupMatcher,
    "RUNS": RunMatcher,
    "THREADS": ThreadMatcher,
}


def _generate_match(
    plan: MatchPlan, stream: Stream, name: str, matter: FrontMatter, suppress: int | None
) -> tuple[Module, Callable[[Module], Operator]]:
    program = compile_program(plan.pattern)
    way = way_to_follow(plan, program)
    module = generate_match(plan, program, stream, name, way)
    begins = any_of(plan.define[program.labels[s]] for s in program.start if s >= 0)
    demands = any_of([plan.where])
    kind = _MATCHERS[way]

    def start(module: Module) -> Operator:
        return kind(
            Setup(
                plan,
                program,
                module,
                stream.row_type,
                stream.time_attr,
                Suppressor(suppress),
                matter.max_open,
                matter.max_rows,
                begins,
                demands,
            )
        )

    return module, start
