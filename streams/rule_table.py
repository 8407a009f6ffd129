"""Rules as a table in Markdown: what ``docs/rule-pack.md`` shows of the packaged ones."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep import Rule

_HEAD = "| rule | severity | finds | source | parameters |\n| --- | --- | --- | --- | --- |\n"


def rule_tables(rules: Iterable[tuple[str, Rule]]) -> str:
    """One table for each family of rules, the family being the folder, in the order of the names.

    Args:
        rules: name of the file, such as ``trading/layering.sql``, and the rule in it.
    """
    by_name = sorted(rules, key=lambda named: named[0])
    families = groupby(by_name, key=lambda named: named[0].rpartition("/")[0])
    return "\n".join(
        f"## {family or 'rules'}\n\n{_HEAD}" + "".join(_row(rule) for _, rule in members)
        for family, members in families
    )


def _row(rule: Rule) -> str:
    severity = rule.severity if rule.action == "alert" else f"{rule.severity}, `{rule.action}`"
    cells = (f"`{rule.id}`", severity, rule.summary, rule.matter.source, _parameters(rule.matter.params))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _parameters(params: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}` {value}" for name, value in params.items()) or "none"
