"""The comment at the top of a rule file: YAML, checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from m1cep.errors import RuleError, SourceText, nearest
from m1cep.model.parameter import parameter
from m1cep.model.time import parse_duration_us

if TYPE_CHECKING:
    from m1cep.model.types import SqlType

_COMMENT = re.compile(r"\s*/\*(.*?)\*/", re.DOTALL)
DEFAULT_MAX_OPEN = 1_000
DEFAULT_MAX_ROWS = 200_000


def _duration(value: str) -> str:
    parse_duration_us(value)
    return value


class FrontMatter(BaseModel):
    """What a rule says of itself.

    Attributes:
        id: of the rule, lower case with dashes or underscores.
        severity: how grave an alert is.
        summary: one sentence for whoever reads the alert.
        source: the regulation, venue rule or paper that it comes from.
        action: what is to be done beyond the alert.
        params: named values that the SQL uses as ``:name``; text such as ``5 s`` is an INTERVAL.
        suppress: after an alert, further alerts of the same key are dropped and counted for this long (event time).
        on_missing: what holds of a list or parameter that is not there, or that cannot be asked for now. ``last_known``: what was
            known last; what never was there keeps the engine from starting. ``fail_closed``: the same, but while it cannot be
            asked for, every condition on a list holds, be it that something is on it or that it is not. ``unknown``: what never
            was there is NULL, so that no condition on it is true; else what was known last.
        max_open: most attempts followed at once per key in a pattern without WITHIN whose conditions look at what a match has
            taken; the oldest beyond it is dropped and counted.
        max_rows: most rows kept per key in a pattern without WITHIN; beyond it the oldest attempt is dropped and counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,99}$")] | None = None
    severity: Literal["info", "low", "medium", "high", "critical"] = "medium"
    summary: str = ""
    source: str = ""
    action: Literal["alert", "freeze_account", "halt_grid", "hold_withdrawal"] = "alert"
    params: dict[str, Any] = Field(default_factory=dict)
    suppress: Annotated[str, AfterValidator(_duration)] | None = None
    on_missing: Literal["last_known", "fail_closed", "unknown"] = "last_known"
    max_open: Annotated[int, Field(ge=1, le=1_000_000)] = DEFAULT_MAX_OPEN
    max_rows: Annotated[int, Field(ge=2, le=10_000_000)] = DEFAULT_MAX_ROWS

    def typed_params(self) -> dict[str, tuple[Any, SqlType]]:
        """Parameters with their SQL types."""
        return {name: parameter(value) for name, value in self.params.items()}

    @property
    def suppress_us(self) -> int | None:
        """``suppress`` in microseconds."""
        return None if self.suppress is None else parse_duration_us(self.suppress)


def front_matter(source: SourceText) -> FrontMatter:
    """The front matter of a rule text, or the defaults where it has none.

    Raises:
        RuleError: it is not YAML, or a key or value is not one of those that a rule has.
    """
    found = _COMMENT.match(source.text)
    if found is None:
        return FrontMatter()
    begin = found.start(1)
    try:
        data = yaml.safe_load(found[1])
    except ValueError as error:  # a number or a date that Python does not take
        raise RuleError(f"front matter is not YAML: {error}", source, begin) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise RuleError(
            f"front matter is not YAML: {getattr(error, 'problem', error)}", source, begin + (mark.index if mark else 0)
        ) from None
    if not isinstance(data, dict):
        if data is None or isinstance(data, str):  # an ordinary comment
            return FrontMatter()
        raise RuleError(f"expected 'key: value' lines in the front matter, got {type(data).__name__}", source, begin)
    try:
        matter = FrontMatter.model_validate(data)
        for name, value in matter.params.items():
            _check_parameter(name, value, source, found)
    except ValidationError as error:
        raise _explain(error.errors()[0], source, found) from None
    return matter


def _check_parameter(name: str, value: object, source: SourceText, found: re.Match[str]) -> None:
    try:
        parameter(value)
    except ValueError as error:
        raise RuleError(f"params.{name}: {error}", source, _place(found, name), length=len(name)) from None


def _explain(problem: Any, source: SourceText, found: re.Match[str]) -> RuleError:
    key = str(problem["loc"][0]) if problem["loc"] else ""
    place = _place(found, key)
    if problem["type"] == "extra_forbidden":
        return RuleError(
            f"front matter has no key {key!r}",
            source,
            place,
            length=len(key),
            hint=nearest(key, FrontMatter.model_fields),
        )
    return RuleError(
        f"front matter, {key}: {problem['msg']}, got {problem['input']!r}", source, place, length=max(1, len(key))
    )


def _place(found: re.Match[str], key: str) -> int:
    at = re.search(rf"\b{re.escape(key)}\b\s*:", found[1]) if key else None
    return found.start(1) + (at.start() if at else 0)
