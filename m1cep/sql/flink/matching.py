"""MATCH_RECOGNIZE for Flink."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.plan.pattern import variables
from m1cep.sql.flink.pattern import Part, check_choices, check_sequence, parts, rows_before
from m1cep.sql.nodes import RowMatch
from m1cep.sql.rowpattern import parse_pattern

if TYPE_CHECKING:
    from m1cep.model.types import SqlType
    from m1cep.sql.flink.names import Names
    from m1cep.sql.flink.rewrite import Rewriter

_ROWS = {
    "ALL ROWS": "ALL ROWS PER MATCH",
    "ALL ROWS OMIT EMPTY": "ALL ROWS PER MATCH",
    "ALL ROWS WITH UNMATCHED": "ALL ROWS PER MATCH WITH UNMATCHED ROWS",
}


def translate_match(
    rewriter: Rewriter, node: RowMatch, names: Names
) -> tuple[RowMatch, dict[str, tuple[str, SqlType]]]:
    """MATCH_RECOGNIZE for Flink, and the columns that it puts out. What Flink cannot do goes to the report."""
    report = rewriter.report
    if node.args.get("rows") in _ROWS:
        why = "Flink gives one row a match; take what is needed into MEASURES"
        report.cannot(_ROWS[node.args["rows"]], node, why, length=len("MATCH_RECOGNIZE"))
    for subset in node.args.get("subsets") or []:
        report.cannot("SUBSET", subset, "Flink reads it and takes no notice: aggregates over it are NULL")
    rewriter.in_match = True
    try:
        return _Match(rewriter, node, names).translate()
    finally:
        rewriter.in_match = False


class _Match:
    def __init__(self, rewriter: Rewriter, node: RowMatch, names: Names) -> None:
        self.rewriter = rewriter
        self.report = rewriter.report
        self.node = node
        text = node.args["pattern"]
        pattern = parse_pattern(self.report.source, text.this, text.meta["start"])
        spelt: dict[str, str] = {}
        for v in variables(pattern):
            spelt.setdefault(v.name.lower(), v.name)
        subsets = {s.alias.lower(): s.alias for s in node.args.get("subsets") or []}
        self.names = replace(names, variables=spelt | subsets)
        self.sequence = [replace(p, name=spelt[p.name.lower()]) for p in parts(pattern, self.report)]
        self.define = {spelt.get(d.alias.lower(), d.alias): d.this for d in node.args.get("define") or []}

    def translate(self) -> tuple[RowMatch, dict[str, tuple[str, SqlType]]]:
        sequence = self._distinct_variables()
        check_sequence(sequence, self.report)
        params = {name: value for name, (value, _) in self.rewriter.params.items()}
        check_choices(self.sequence, self.define, params, self.report)
        self._check_first_come()
        measures, outputs = self._measures()
        within = self.node.args.get("within")
        if within is None:
            what = "without WITHIN, Flink keeps unfinished matches for ever: max_open is not known there"
            self.report.differs(what, self.node, length=len("MATCH_RECOGNIZE"))
        found = RowMatch(
            partition_by=[self.rewriter.rewrite(e, self.names) for e in self.node.args.get("partition_by") or []],
            order=self.rewriter.order(self.node.args["order"], self.names),
            measures=measures,
            after=self._skip(),
            pattern=exp.Var(this=" ".join(str(p) for p in sequence)),
            within=self.rewriter.fixed_interval(within) if within is not None else None,
            define=self._definitions(sequence),
            alias=self.node.args.get("alias"),
        )
        return found, outputs

    def _skip(self) -> str:
        after = self.node.args.get("after") or "PAST LAST ROW"
        variable = self.node.args.get("after_variable")
        return (
            after if variable is None else f"{after} {self.names.variables.get(variable.name.lower(), variable.name)}"
        )

    def _measures(self) -> tuple[list[exp.Expr], dict[str, tuple[str, SqlType]]]:
        """MEASURES, and the columns that MATCH_RECOGNIZE puts out: those of the partition, then these."""
        typer, names = self.rewriter.typer, self.names
        outputs = {e.name.lower(): names.column(e) for e in self.node.args.get("partition_by") or []}
        measures: list[exp.Expr] = []
        for item in self.node.args.get("measures") or []:
            outputs[item.alias.lower()] = (item.alias, typer.of(item.this, names))
            measures.append(exp.Alias(this=self.rewriter.rewrite(item.this, names), alias=item.args["alias"].copy()))
        return measures, outputs

    def _definitions(self, sequence: list[Part]) -> list[exp.Expr]:
        """A definition for each variable that has a condition; Flink wants at least one."""
        before = rows_before(self.sequence)
        found: list[exp.Expr] = []
        for part, original in zip(sequence, self.sequence, strict=True):
            condition = self.define.get(original.name)
            if condition is None:
                continue
            own = replace(
                self.names,
                own=part.name,
                before=before[original.name],
                variables={**self.names.variables, original.name.lower(): part.name},
            )
            found.append(exp.Alias(this=self.rewriter.rewrite(condition, own), alias=exp.to_identifier(part.name)))
        if not found and sequence:
            found.append(exp.Alias(this=exp.true(), alias=exp.to_identifier(sequence[0].name)))
        return found

    def _distinct_variables(self) -> list[Part]:
        """Flink wants each variable once. One that nothing else speaks of gets another name at each further place."""
        counts = Counter(p.name for p in self.sequence)
        seen: Counter[str] = Counter()
        taken = {n.lower() for n in counts}
        out = []
        for part in self.sequence:
            seen[part.name] += 1
            name = part.name
            if seen[part.name] > 1:
                if self._is_spoken_of(part.name):
                    why = "Flink wants each variable once, and this one is used in other conditions, measures or aggregates"
                    self.report.cannot(f"variable {part.name} twice in PATTERN", part.pos, why, length=len(part.name))
                name = next(
                    n for n in (f"{part.name}_{i}" for i in range(seen[part.name], 10_000)) if n.lower() not in taken
                )
                taken.add(name.lower())
            out.append(replace(part, name=name))
        return out

    def _is_spoken_of(self, name: str) -> bool:
        """Whether anything but its own row's columns in its own condition refers to a variable, or to all rows."""
        variable = self.node.args.get("after_variable")
        if variable is not None and variable.name.lower() == name.lower():
            return True
        own = self.define.get(name)
        if own is not None and own.find(exp.AggFunc, exp.First, exp.Last, exp.Anonymous):
            return True
        others = [d for n, d in self.define.items() if n != name] + list(self.node.args.get("measures") or [])
        return any(c.table.lower() == name.lower() for other in others for c in other.find_all(exp.Column))

    def _check_first_come(self) -> None:
        """Flink reports what is complete first, SQL what began first; the same unless matches of different length depend
        on their own past.
        """
        if all(p.fixed for p in self.sequence):
            return
        for name, condition in self.define.items():
            past = condition.find(exp.AggFunc, exp.First, exp.Last) or any(
                c.table and c.table.lower() != name.lower() for c in condition.find_all(exp.Column)
            )
            if past:
                what = "of two overlapping matches Flink reports the one that is complete first, SQL the one that began first"
                self.report.differs(what, condition)
                return
