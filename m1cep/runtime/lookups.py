"""Lists and parameters that rules read while they run, kept outside their text.

The engine reads them in the hot path, so an implementation holds local copies in plain sets and dicts and never waits. What it
gives out does not change: new content is a new object and a higher ``revision``, which the engine looks at before each batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from m1cep.errors import EngineError
from m1cep.model.parameter import fitted
from m1cep.runtime.addresses import folded, has_caseless, normal_address
from m1cep.runtime.versions import ListVersion, value_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from m1cep.model.types import SqlType


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter's values: for all keys, and for those that have one of their own. Keys are text.

    None as ``default`` means that there is no value for the other keys.
    """

    default: Any = None
    by_key: Mapping[str, Any] = field(default_factory=dict)


class Lookups(Protocol):
    """Where the engine finds lists and parameters."""

    @property
    def revision(self) -> int:
        """Another number whenever anything below has changed."""

    @property
    def current(self) -> bool:
        """False when what is here is what was known last, and nobody can be asked whether it still is so."""

    def members(self, name: str) -> AbstractSet[str] | None:
        """The entries of a list, as text; None when there is no such list."""

    def parameter(self, name: str) -> Parameter | None:
        """A parameter; None when there is no such parameter."""

    def overrides(self, rule: str) -> Mapping[str, Any]:
        """Values that replace those of the front matter's ``params`` in the rule with that id."""

    def versions(self) -> Mapping[str, str]:
        """What is in force, for alerts to name: ``list sanctions``, ``param max_notional``, ``rule layering`` -> version."""


class FixedLookups:
    """Lists and parameters in memory that do not change.

        FixedLookups(lists={"sanctions": ["0xbad"]}, params={"max_notional": Parameter(1e5, {"a1": 5.0})})

    Args:
        lists: entries by list name; addresses whose letters' case means nothing are kept in small letters.
        params: a Parameter or a plain value (the same for all keys) by parameter name.
        rules: values for ``:name`` by rule id and name.
    """

    revision = 0
    current = True

    def __init__(
        self,
        lists: Mapping[str, Iterable[str]] | None = None,
        params: Mapping[str, Any] | None = None,
        rules: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._lists = {
            name: frozenset(normal_address(str(e)) for e in entries) for name, entries in (lists or {}).items()
        }
        self._params = {n: p if isinstance(p, Parameter) else Parameter(p) for n, p in (params or {}).items()}
        self._rules = {rule: dict(values) for rule, values in (rules or {}).items()}
        self._versions: dict[str, str] | None = None

    def members(self, name: str) -> AbstractSet[str] | None:
        """The entries of a list."""
        return self._lists.get(name)

    def parameter(self, name: str) -> Parameter | None:
        """A parameter."""
        return self._params.get(name)

    def overrides(self, rule: str) -> Mapping[str, Any]:
        """Values for the rule's ``:name``."""
        return self._rules.get(rule, {})

    def versions(self) -> Mapping[str, str]:
        """12 hexadecimal digits of SHA-256 over the contents: equal contents, equal version."""
        if self._versions is None:
            found = {f"list {name}": ListVersion(entries).text for name, entries in self._lists.items()}
            found |= {f"param {name}": parameter_version(param) for name, param in self._params.items()}
            found |= {f"rule {rule}": value_version(values) for rule, values in self._rules.items()}
            self._versions = found
        return self._versions


def parameter_version(parameter: Parameter) -> str:
    """The version of a parameter's values."""
    return value_version([parameter.default, dict(parameter.by_key)])


class _Everything(frozenset[str]):
    """Has whatever is looked for."""

    def __contains__(self, _: object) -> bool:
        return True


_EVERYTHING = _Everything()
_NOTHING: frozenset[str] = frozenset()
#: In an alert, the version of a list that a rule which fails closed could not ask.
UNAVAILABLE = "unavailable"


#: Kinds of bindings that are about lists.
LISTS = frozenset({"list", "cleared", "caseless", "folded"})


@dataclass(frozen=True, slots=True)
class Binding:
    """A name of generated code whose value the engine supplies.

    Attributes:
        kind: ``list`` (entries), ``cleared`` (the same, for a rule that fails closed to ask what is not listed), ``caseless``
            (whether the list has addresses whose letters' case means nothing), ``folded`` (then its entries in small letters
            too), ``param`` (the value for all keys), ``by_key`` (values by key) with ``rest`` (that of the other keys, perhaps
            None), ``value`` (a rule's ``:name``).
        name: of the list, the parameter, or the rule's parameter.
        type: of the values; None for a list.
        default: of a ``value``, in the front matter.
    """

    kind: str
    name: str
    type: SqlType | None = None
    default: Any = None


@dataclass(frozen=True, slots=True)
class Needs:
    """What a rule reads, for :func:`bound`.

    Attributes:
        rule: its id.
        bindings: by the name in generated code.
        params: names of the front matter's parameters.
        fixed: those of them that are part of the plan.
        on_missing: the front matter's.
    """

    rule: str
    bindings: Mapping[str, Binding]
    params: Mapping[str, tuple[Any, SqlType]]
    fixed: frozenset[str]
    on_missing: str

    @property
    def may_lack(self) -> bool:
        """Whether lists and parameters that are not there are NULL."""
        return self.on_missing == "unknown"

    def closed(self, lookups: Lookups) -> bool:
        """Whether the rule fails closed now."""
        return self.on_missing == "fail_closed" and not lookups.current


def bound(needs: Needs, lookups: Lookups) -> dict[str, Any]:
    """The value of every binding of a rule.

    Raises:
        EngineError: a list or parameter is not there, or a value is not of the type that the rule takes.
    """
    overrides = _overrides(needs, lookups)
    found: dict[str, Any] = {}
    for name, binding in needs.bindings.items():
        if binding.kind == "value":
            found[name] = overrides.get(binding.name, binding.default)
        elif binding.kind in {"list", "cleared"}:
            entries = _members(needs, binding.name, lookups)
            if needs.closed(lookups):
                entries = _EVERYTHING if binding.kind == "list" else _NOTHING
            found[name] = entries
        elif binding.kind in {"caseless", "folded"}:
            entries = _EVERYTHING if needs.closed(lookups) else _members(needs, binding.name, lookups)
            asked = has_caseless if binding.kind == "caseless" else folded
            found[name] = None if entries is None else asked(entries)
        else:
            found[name] = _parameter(needs, binding, lookups)
    return found


def deciding(needs: Needs, lookups: Lookups) -> tuple[dict[str, str], dict[str, str]]:
    """Versions of the lists and of the parameters that a rule reads, by name; values in place of its own are ``rules.ID``."""
    versions = lookups.versions()
    kinds: dict[str, set[str]] = {"list": set(), "param": set()}
    for binding in needs.bindings.values():
        if binding.kind != "value":
            kinds["list" if binding.kind in LISTS else "param"].add(binding.name)
    lists = {name: versions[f"list {name}"] for name in sorted(kinds["list"]) if f"list {name}" in versions}
    if needs.closed(lookups):
        lists = dict.fromkeys(lists, UNAVAILABLE)
    params = {name: versions[f"param {name}"] for name in sorted(kinds["param"]) if f"param {name}" in versions}
    if needs.params and f"rule {needs.rule}" in versions:
        params[f"rules.{needs.rule}"] = versions[f"rule {needs.rule}"]
    return lists, params


def _overrides(needs: Needs, lookups: Lookups) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in lookups.overrides(needs.rule).items():
        if name not in needs.params:
            raise EngineError(
                f"rule {needs.rule!r} has no parameter :{name}: expected one of {', '.join(needs.params) or '(none)'}"
            )
        default, type_ = needs.params[name]
        found[name] = _fitted(value, type_, f"parameter :{name} of rule {needs.rule!r}")
        if name in needs.fixed and found[name] != default:
            raise EngineError(
                f"parameter :{name} of rule {needs.rule!r} cannot change at run time, because it is part of the pattern's or "
                "window's shape (WITHIN, a frame, a window's size): change it in the rule's file"
            )
    return found


def _members(needs: Needs, name: str, lookups: Lookups) -> AbstractSet[str] | None:
    entries = lookups.members(name)
    if entries is None and not needs.may_lack:
        raise EngineError(
            f"rule {needs.rule!r} reads list {name!r}, which is not there: add it (a file lists/{name}.txt), or say "
            "on_missing: unknown in the rule's front matter"
        )
    return entries


def _parameter(needs: Needs, binding: Binding, lookups: Lookups) -> Any:
    """The value for all keys, or the mapping of those that have their own."""
    found = lookups.parameter(binding.name)
    missing = found is None or (binding.kind == "param" and found.default is None)
    if missing and not needs.may_lack:
        what = "which is not there" if found is None else "which has no default"
        raise EngineError(
            f"rule {needs.rule!r} reads parameter {binding.name!r}, {what}: add it (to params.yaml), or say "
            "on_missing: unknown in the rule's front matter"
        )
    assert binding.type is not None
    what = f"parameter {binding.name!r}, which rule {needs.rule!r} reads"
    if binding.kind == "by_key":
        values = {} if found is None else found.by_key
        return {str(key): _fitted(value, binding.type, f"{what}, key {key!r}") for key, value in values.items()}
    if found is None or found.default is None:
        return None
    return _fitted(found.default, binding.type, what)


def _fitted(value: Any, type_: SqlType, what: str) -> Any:
    try:
        return fitted(value, type_)
    except ValueError as error:
        raise EngineError(f"{what}: {error}") from None
