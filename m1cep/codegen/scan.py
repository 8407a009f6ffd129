"""The loop over a row pattern's rows to Python.

A row of a key where nothing is open and that cannot begin a match costs a look-up and the conditions of the first variables.
Where attempts are followed in groups, one of an open key that decides nothing costs its conditions and one look-up more (see
runtime/standing.py); the matcher's ``step`` is called for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m1cep.codegen.common import identifier, key_source
from m1cep.plan.ir import TRUE, Expr, MatchNumber, conjuncts, walk
from m1cep.plan.program import AT_END, DONE
from m1cep.plan.sharing import disjoint
from m1cep.plan.slots import depends_on_past

if TYPE_CHECKING:
    from m1cep.codegen.module import Source
    from m1cep.codegen.slots import SlotWriter
    from m1cep.model.stream import Stream
    from m1cep.plan.plans import MatchPlan
    from m1cep.plan.program import Program

TIDY = 64  # rows of a key after which those no longer needed are looked for


@dataclass(frozen=True, slots=True)
class ScanWriter:
    """Writes ``scan`` of a rule.

    Attributes:
        plan: of the rule.
        program: its pattern.
        stream: whose rows they are.
        conditions: writes what DEFINE says.
        behind: how many rows back PREV looks.
        ahead: how many rows on NEXT looks.
    """

    plan: MatchPlan
    program: Program
    stream: Stream
    conditions: SlotWriter
    behind: int
    ahead: int

    @property
    def every_row(self) -> bool:
        """Whether a row matters that fits no first variable, in a key where nothing is open."""
        looks_beside = self.behind > 0 or self.ahead > 0
        unmatched = self.plan.rows == "ALL ROWS WITH UNMATCHED"
        return looks_beside or unmatched or self.program.may_be_empty or self.program.has_anchors

    @property
    def lasting(self) -> bool:
        """Whether what is known of a key outlives its matches: rows for PREV, the first row, the number of matches."""
        exprs = [*(o.expr for o in self.plan.select), self.plan.having]
        numbered = any(isinstance(e, MatchNumber) for x in exprs for e in walk(x))
        return bool(self.behind or self.ahead or self.program.has_anchors or numbered)

    def write(self, out: Source, way: str) -> None:
        """Add the function to ``out``; ``way`` is how attempts are followed (plan.sharing)."""
        self._begins_with(out)
        if way == "THREADS":
            self._one_by_one(out)
        else:
            self._in_groups(out)
        out.add()

    def _begins_with(self, out: Source) -> None:
        """``begins_with(rows)``: whether one of them may begin a match, for rules where not every row may."""
        gate, where = self._gate(), self.plan.where
        if gate == "True":
            return
        truth = "" if where is TRUE else f"{self.conditions.writer.truth(where)} and "
        out.add("def begins_with(rows):")
        out.add("for at, r in rows:", indent=1)
        out.add(f"if {truth}({gate}):", indent=2, pos=where.pos)
        out.add("return True", indent=3)
        out.add("return False", indent=1)
        out.add()

    def _one_by_one(self, out: Source) -> None:
        """A row that begins an attempt in a key without others is laid aside until a second row comes: most never see one."""
        time, gate = f"r.{self.stream.time_attr}", self._gate()
        out.add("def scan(m, live, cold, begun, rows, out):")
        out.add("get, step = live.get, m.step", indent=1)
        if self.first_row_waits:
            state = self.program.start[0]
            self._each_row(out)
            out.add("if first := begun.pop(k, None):", indent=3)
            out.add(f"p = m.second_row(k, first, r, {time})", indent=4)
            out.add("elif cold and k in cold:", indent=3)
            out.add("p = m.enter(k)", indent=4)
            out.add("if p is None:", indent=3)
            if gate != "True":
                out.add(f"if not ({gate}):", indent=4)
                out.add("continue", indent=5)
            out.add(f"c = try_{identifier(self.program.labels[state])}(r, EMPTY, (r,), 0, {state})", indent=4)
            out.add("if c is not None:", indent=4)
            out.add("begun[k] = (at, r, c)", indent=5)
            out.add("continue", indent=4)
        else:
            self._head(out)
            out.add("p = m.enter(k)", indent=4)
        out.add("p.log.append(r)", indent=2)
        out.add(f"step(p, k, r, {time}, at, out, {gate})", indent=2)

    @property
    def first_row_waits(self) -> bool:
        """Whether an attempt's first row decides nothing by itself, nor does time after it, and leaves nothing else behind."""
        if self.plan.within is None or self.every_row or self.lasting or len(self.program.start) != 1:
            return False
        (state,) = self.program.start
        return not {state, *self.program.next[state]} & {DONE, AT_END, *self.program.waits}

    def _in_groups(self, out: Source) -> None:
        out.add("def scan(m, live, cold, spare, none, gone, rows, out):")
        out.add("get, step = live.get, m.step", indent=1)
        begins = self._first_row()
        if begins is not None:
            out.add(f"begun = m.after_first({begins})", indent=1)
        self._head(out)
        out.add("p = live[k] = spare.pop() if spare else m.enter(k)", indent=4)
        if begins is not None:
            self._begin(out, begins)
        if self.behind:
            out.add("log = p.log", indent=2)
            out.add("log.append(r)", indent=2)
            out.add("j = len(log) - 1", indent=2)
        self._fits(out)
        out.add("standing = p.standing", indent=2)
        time = f"r.{self.stream.time_attr}"
        if self.plan.within is not None:
            out.add(f"t = {time}", indent=2)
            out.add("if standing is none:", indent=2)
            out.add(f"p.expires = t + {self.plan.within}", indent=3)
            time = "t"
        in_time = "" if self.plan.within is None else "t < p.expires and "
        out.add(f"if {in_time}(after := standing.get(b)) is not None:", indent=2)
        self._move(out)
        out.add("else:  # it may decide something", indent=2)
        if not self.behind:
            out.add("p.log.append(r)", indent=3)
        out.add(f"step(p, k, r, {time}, at, b, out)", indent=3)

    def _first_row(self) -> int | None:
        """The bits of a row that begins a match where nothing else is open, if all such rows do the same."""
        variables = {self.program.labels[s] for s in self.program.start}
        completes = any(DONE in self.program.next[s] for s in self.program.start)
        if self.lasting or completes or len(variables) != 1 or any(s in self.program.waits for s in self.program.start):
            return None
        (variable,) = variables
        waits = any(n in self.program.waits for s in self.program.start for n in self.program.next[s])
        if waits or depends_on_past(self.plan.define[variable]):
            return None
        return 1 << list(self.plan.define).index(variable)

    def _begin(self, out: Source, bits: int) -> None:
        """The first row of a key's only attempt."""
        out.add("p.log.append(r)", indent=4)
        out.add("p.ats.append(at)", indent=4)
        out.add(f"p.fits.append({bits})", indent=4)
        out.add("p.standing = begun", indent=4)
        if self.plan.within is not None:
            out.add(f"p.expires = r.{self.stream.time_attr} + {self.plan.within}", indent=4)
        out.add("continue", indent=4)

    def _move(self, out: Source) -> None:
        """The row moves the standing and decides nothing."""
        if not self.lasting:
            out.add("if after is gone:", indent=3)
            out.add("if p.taken:", indent=4)
            out.add("m.leave(p, k)", indent=5)
            out.add("else:", indent=4)
            out.add("del live[k]", indent=5)
            for rows in ("log", "ats", "fits"):
                out.add(f"p.{rows}.clear()", indent=5)
            out.add("p.standing = none", indent=5)
            out.add("p.slim = 0", indent=5)
            out.add("spare.append(p)", indent=5)
            out.add("continue", indent=4)
        if not self.behind:
            out.add("log = p.log", indent=3)
            if not self.lasting:
                self._begin_anew(out)
            out.add("log.append(r)", indent=3)
        out.add("p.ats.append(at)", indent=3)
        out.add("p.fits.append(b)", indent=3)
        if self.lasting:
            out.add("if after is gone:", indent=3)
            out.add("m.leave(p, k)", indent=4)
            out.add("continue", indent=4)
        out.add("p.standing = after", indent=3)
        out.add(f"if not len(log) % {TIDY}:", indent=3)
        out.add("m.tidy(p)", indent=4)

    def _begin_anew(self, out: Source) -> None:
        """The row ends all attempts and begins one: it takes the place of the rows before it, of which there mostly is one."""
        out.add("if after.fresh and log:", indent=3)
        out.add("if p.taken or len(log) > 1:", indent=4)
        out.add("m.keep_one(p)", indent=5)
        out.add("log[0], p.ats[0], p.fits[0] = r, at, b", indent=4)
        out.add("p.slim = 0", indent=4)
        if self.plan.within is not None:
            out.add(f"p.expires = t + {self.plan.within}", indent=4)
        out.add("p.standing = after", indent=4)
        out.add("continue", indent=4)

    def _head(self, out: Source) -> None:
        """The head of the loop, as far as to where a row begins an attempt in a key that has none."""
        self._each_row(out)
        out.add("if cold and k in cold:", indent=3)
        out.add("p = m.enter(k)", indent=4)
        gate = self._gate()
        if gate != "True":
            out.add(f"elif not ({gate}):", indent=3)
            out.add("continue", indent=4)
        out.add("else:", indent=3)

    def _each_row(self, out: Source) -> None:
        out.add("for at, r in rows:", indent=1)
        where = self.plan.where
        if where is not TRUE:
            out.add(f"if not {self.conditions.writer.truth(where)}:", indent=2, pos=where.pos)
            out.add("continue", indent=3)
        out.add(f"k = {key_source(self.plan.key)}", indent=2)
        out.add("p = get(k)", indent=2)
        out.add("if p is None:", indent=2)

    def _gate(self) -> str:
        """Whether a row can begin a match, as far as the row alone can tell. Where every row must be seen it is True."""
        if self.every_row:
            return "True"
        options = []
        for variable in dict.fromkeys(self.program.labels[s] for s in self.program.start):
            parts = self._static(self.plan.define[variable])
            if not parts:
                return "True"
            with self.conditions.mapping(variable):
                options.append(" and ".join(self.conditions.writer.truth(p) for p in parts))
        return " or ".join(options)

    def _static(self, condition: Expr) -> list[Expr]:
        return [p for p in conjuncts(condition) if not depends_on_past(p)]

    def _fits(self, out: Source) -> None:
        """Which variables a row fits, as bits, as far as the rows alone can tell."""
        always = sum(1 << n for n, c in enumerate(self.plan.define.values()) if not self._static(c))
        chain: list[Expr] = []  # conditions of which no row meets two
        first = True
        for n, (variable, condition) in enumerate(self.plan.define.items()):
            if not (parts := self._static(condition)):
                continue
            with self.conditions.mapping(variable):
                truth = " and ".join(self.conditions.writer.truth(p) for p in parts)
            goes_on = bool(chain) and all(disjoint(condition, other) for other in chain)
            if chain and not goes_on:
                self._none_fits(out, always, first=first)
                first = False
                chain = []
            chain.append(condition)
            word = "elif" if goes_on else "if"
            out.add(f"{word} {truth}:", indent=2, pos=None if condition is TRUE else condition.pos)
            out.add(f"b = {always | 1 << n}  # {variable}" if first else f"b |= {1 << n}  # {variable}", indent=3)
        if chain:
            self._none_fits(out, always, first=first)
        else:
            out.add(f"b = {always}", indent=2)

    def _none_fits(self, out: Source, always: int, *, first: bool) -> None:
        if first:
            out.add("else:", indent=2)
            out.add(f"b = {always}", indent=3)
