"""``m1cep rules flink``: a rule as a job for Flink SQL."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli.options import RuleFile, Streams  # noqa: TC001 - typer reads the annotations
from streams.errors import ExitCode, UsageError
from streams.files import load_streams

if TYPE_CHECKING:
    from m1cep import RuleError
    from m1cep.sql.flink import FlinkJob


class Connectors(StrEnum):
    """What the job reads from and writes to."""

    KAFKA = "kafka"
    FILESYSTEM = "filesystem"


def flink(
    rule: RuleFile,
    streams: Streams = None,
    broker: Annotated[str, typer.Option(help="Kafka for the job, host:port.")] = "localhost:9092",
    connector: Annotated[Connectors, typer.Option(help="Where the job reads and writes.")] = Connectors.KAFKA,
    path: Annotated[
        str | None, typer.Option(help="With filesystem: a folder or URL that has <stream>.ndjson and gets alerts/.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write a rule as a complete job for Flink SQL 2.x, or say what Flink cannot do of it (exit code 1).

    Example: m1cep rules flink rules/market/price-band.sql --broker kafka:9092 > price-band-flink.sql
    """
    from m1cep import compile_rule
    from m1cep.sql.flink import Connector, flink_job
    from streams.files import read_text

    if (connector is Connectors.FILESYSTEM) != (path is not None):
        raise UsageError("--connector filesystem and --path FOLDER belong together")
    text, declared = read_text(rule), load_streams(streams)
    rule_id = compile_rule(text, declared, rule.name).id
    job = flink_job(text, declared, name=rule.name, rule_id=rule_id, connector=Connector(broker=broker, folder=path))
    if json:
        sys.stdout.buffer.write(orjson.dumps(_facts(rule_id, job)) + b"\n")
    elif job.problems:
        count = len(job.problems)
        print(f"Flink cannot run {rule_id}, for {count} reason{'s' if count > 1 else ''}:\n", file=sys.stderr)
        print("\n\n".join(str(p) for p in job.problems), file=sys.stderr)
    else:
        print(job.sql, end="")
    if job.problems:
        raise typer.Exit(ExitCode.FAILURE)


def _facts(rule_id: str, job: FlinkJob) -> dict[str, Any]:
    return {
        "id": rule_id,
        "sql": job.sql,
        "statements": job.statements,
        "problems": [_finding(p) for p in job.problems],
        "notes": [_finding(n) for n in job.notes],
    }


def _finding(found: RuleError) -> dict[str, Any]:
    return {"line": found.line, "column": found.column, "message": found.message, "hint": found.hint}
