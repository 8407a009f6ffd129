"""A rule as a complete job for Flink SQL 2.x."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from m1cep.errors import RuleError, SourceText
from m1cep.sql.dialect import parse
from m1cep.sql.flink.dialect import write
from m1cep.sql.flink.report import Report
from m1cep.sql.flink.select import Translator
from m1cep.sql.flink.tables import (
    ALERTS,
    Connector,
    create_alerts,
    create_table,
    create_view,
    literal,
    quoted,
    time_column,
)
from m1cep.sql.frontmatter import front_matter
from m1cep.sql.statement import plan_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.model.stream import Stream
    from m1cep.model.types import SqlType
    from m1cep.sql.frontmatter import FrontMatter

_WIDTH = 110
_IDLE = "5 s"  # a partition without events holds the watermark up no longer than this
_CHECKPOINT = "10 s"  # Kafka offsets are committed, and alerts surely written, so often


@dataclass(frozen=True)
class FlinkJob:
    """What became of a rule.

    Attributes:
        header: a comment: what the job is, what it needs, where it differs.
        statements: the job, statement by statement; none when there are problems.
        problems: what Flink cannot do of it, in the order of the text.
        notes: where Flink may give other alerts, in the order of the text.
    """

    header: str
    statements: tuple[str, ...]
    problems: tuple[RuleError, ...]
    notes: tuple[RuleError, ...]

    @property
    def sql(self) -> str:
        """The job as a text for Flink's SQL client; empty when there are problems."""
        if not self.statements:
            return ""
        return "\n\n".join([self.header, *(f"{s};" for s in self.statements)]) + "\n"


def flink_job(
    text: str,
    streams: Mapping[str, Stream],
    *,
    name: str = "rule",
    rule_id: str = "",
    connector: Connector | None = None,
) -> FlinkJob:
    """The job of a rule.

    Args:
        text: the rule, front matter and one SELECT.
        streams: what FROM may name.
        name: of the text in messages.
        rule_id: what alerts are called by; default: the front matter's id, else ``name``.
        connector: where the tables are; default: Kafka on localhost.

    Raises:
        RuleError: the text is not a rule for M1CEP itself.
    """
    source = SourceText(text, name)
    matter = front_matter(source)
    plan, _ = plan_statement(source, matter, streams)
    report = Report(source)
    translator = Translator(report, matter.typed_params(), streams)
    statement = parse(source)[0]
    assert isinstance(statement, exp.Select)  # plan_statement has seen to it
    query = translator.statement(statement)
    _note_matter(report, matter)
    problems, notes = (tuple(sorted(errors, key=lambda e: e.offset)) for errors in (report.problems, report.notes))
    if problems:
        return FlinkJob("", (), problems, notes)
    columns = [(o.name, o.expr.type) for o in plan.select]
    rule_id = rule_id or matter.id or name
    where = connector or Connector()
    statements = (
        *_settings(rule_id, where),
        *_tables(translator.used, streams, where),
        create_alerts(columns, where),
        _insert(rule_id, matter, columns, write(query)),
    )
    return FlinkJob(_header(rule_id, matter, notes), statements, (), notes)


def _settings(rule_id: str, connector: Connector) -> list[str]:
    settings = {"pipeline.name": rule_id, "table.local-time-zone": "UTC"}
    if connector.folder is None:
        settings |= {"table.exec.source.idle-timeout": _IDLE, "execution.checkpointing.interval": _CHECKPOINT}
    return [f"SET {literal(key)} = {literal(value)}" for key, value in settings.items()]


def _note_matter(report: Report, matter: FrontMatter) -> None:
    if matter.suppress is not None:
        at = max(0, report.source.text.find("suppress"))
        report.differs(
            f"suppress: {matter.suppress} is not known there: every alert is written", at, length=len("suppress")
        )


def _header(rule_id: str, matter: FrontMatter, notes: Iterable[RuleError]) -> str:
    """The comment at the top: what it is, what it needs, where it differs."""
    lines = [f"{rule_id}: {matter.summary}" if matter.summary else rule_id]
    if matter.source:
        lines.append(f"Source: {matter.source}")
    lines += [
        "Written by `m1cep rules flink` for Flink SQL 2.x. Kafka tables need flink-sql-connector-kafka on the class path.",
        "Times are epoch numbers as in the JSON. A record that is not JSON ends the job.",
        *(f"Differs (line {n.line}): {n.message}{'; ' + n.hint if n.hint else ''}" for n in notes),
    ]
    return "\n".join(textwrap.fill(x, _WIDTH, initial_indent="-- ", subsequent_indent="--   ") for x in lines)


def _tables(used: Iterable[Stream], streams: Mapping[str, Stream], connector: Connector) -> list[str]:
    """Tables and views of the streams that the rule reads, each once, tables before the views over them."""
    used = list(used)
    bases = {name: streams[name] for stream in used for name in stream.inputs}
    time = time_column(streams.values())
    found = [create_table(s, connector, time) for s in bases.values()]
    return found + [create_view(s, streams, time) for s in used if s.is_view]


def _insert(rule_id: str, matter: FrontMatter, columns: list[tuple[str, SqlType]], query: str) -> str:
    row = f"ROW({', '.join(quoted(n) for n, _ in columns)})"
    body = textwrap.indent(query, "  ")
    return f"INSERT INTO {ALERTS}\nSELECT {literal(rule_id)}, {literal(matter.severity)}, {row}\nFROM (\n{body}\n)"
