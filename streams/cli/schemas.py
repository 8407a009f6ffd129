"""``m1cep schemas``: JSON Schemas and an AsyncAPI document of every topic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from streams.errors import ShellError


def schemas(
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of asyncapi.yaml and schemas/, made when missing.")
    ] = Path("docs"),
    streams: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Further streams: a file of CREATE TABLE.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 when files are not current.")
    ] = False,
    breaking: Annotated[
        bool, typer.Option("--breaking", help="Write also where those who know the older schema would break.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the JSON Schema of every topic, and one AsyncAPI 3 document.

    Refuses to replace schemas by incompatible ones: within a version only fields are added that may be missing.

    Example: m1cep schemas --out docs --streams my-streams.sql
    """
    from streams.files import load_streams, read_text
    from streams.schemas import channels, compare, write

    further = load_streams(streams) if streams else {}
    comparison = compare(out, channels(further, read_text(streams) if streams else ""))
    if comparison.broken and not breaking:
        first, more = comparison.broken[0], len(comparison.broken) - 1
        raise ShellError(
            f"incompatible with the schemas in {out}: {first}" + (f" (and {more} more)" if more else ""),
            "give the topic a new version, or, if nobody uses it yet, --breaking",
        )
    if check and comparison.stale:
        raise ShellError(f"not current in {out}: {', '.join(comparison.stale)}", f"run `m1cep schemas --out {out}`")
    if not check:
        write(out, comparison)
    if as_json:
        written = [] if check else comparison.stale
        typer.echo(orjson.dumps({"out": str(out), "files": len(comparison.texts), "written": written}))
    elif comparison.stale:
        typer.echo("\n".join(f"wrote {out / name}" for name in comparison.stale))
    else:
        typer.echo(f"{len(comparison.texts)} files in {out} are current")
