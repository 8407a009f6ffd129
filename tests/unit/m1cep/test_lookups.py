"""Lists and parameters beside a rule's text: read while it runs, changed without compiling it again."""

from dataclasses import dataclass, field

import orjson
import pytest

import m1cep
from m1cep import FixedLookups, Parameter

STREAMS = m1cep.parse_streams(
    """CREATE TABLE s (k STRING, who STRING, n BIGINT, x DOUBLE, d DECIMAL(10, 2), ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
       PARTITIONED BY (k) WITH ('topic' = 's')"""
)


def row(**values):
    return {"k": "a", "ts": 1_000, **values}


def compiled(sql, matter="", name="r"):
    return m1cep.compile_rule(f"/*\nid: {name}\n{matter}\n*/\n{sql}", STREAMS)


def fires(sql, lookups, matter="", **values):
    return bool(m1cep.Engine([compiled(sql, matter)], lookups).push("s", [row(**values)]))


def value(sql, lookups, **values):
    [alert] = m1cep.Engine([compiled(f"SELECT {sql} AS v FROM s")], lookups).push("s", [row(**values)])
    return alert.row["v"]


@dataclass
class Changing:
    """Lookups that are changed from outside, as a cache is."""

    now: FixedLookups
    revision: int = 0
    current: bool = True
    reads: list = field(default_factory=list)

    def set(self, now, *, current=True):
        self.now, self.current = now, current
        self.revision += 1

    def members(self, name):
        self.reads.append(name)
        return self.now.members(name)

    def parameter(self, name):
        return self.now.parameter(name)

    def overrides(self, rule):
        return self.now.overrides(rule)

    def versions(self):
        return self.now.versions()


class TestInList:
    SQL = "SELECT who FROM s WHERE IN_LIST('bad', who)"

    @pytest.mark.parametrize(("who", "expected"), [("mallory", True), ("alice", False), (None, False)])
    def test_is_true_for_entries(self, who, expected):
        assert fires(self.SQL, FixedLookups({"bad": ["mallory"]}), who=who) is expected

    @pytest.mark.parametrize(("who", "expected"), [("mallory", False), ("alice", True), (None, False)])
    def test_is_unknown_for_null_also_when_negated(self, who, expected):
        sql = self.SQL.replace("IN_LIST", "NOT IN_LIST")
        assert fires(sql, FixedLookups({"bad": ["mallory"]}), who=who) is expected

    def test_whole_numbers_are_entries_as_text(self):
        lookups = FixedLookups({"bad": ["17"]})
        assert fires("SELECT k FROM s WHERE IN_LIST('bad', n)", lookups, n=17)
        assert not fires("SELECT k FROM s WHERE IN_LIST('bad', n)", lookups, n=1)

    def test_its_value_can_be_selected(self):
        assert value("IN_LIST('bad', who)", FixedLookups({"bad": []}), who="a") is False
        assert value("IN_LIST('bad', who)", FixedLookups({"bad": []})) is None

    def test_a_missing_list_is_refused_at_the_start(self):
        with pytest.raises(
            m1cep.EngineError, match=r"rule 'r' reads list 'bad', which is not there: add it .*on_missing"
        ):
            m1cep.Engine([compiled(self.SQL)])

    @pytest.mark.parametrize("negated", ["", "NOT "])
    def test_a_missing_list_is_unknown_where_the_rule_says_so(self, negated):
        sql = self.SQL.replace("IN_LIST", f"{negated}IN_LIST")
        assert not fires(sql, FixedLookups(), "on_missing: unknown", who="mallory")

    def test_works_in_a_pattern(self):
        rule = compiled("""SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES B.who AS who
            PATTERN (A B) WITHIN INTERVAL '1' MINUTE DEFINE A AS A.n = 1, B AS IN_LIST('bad', B.who))""")
        engine = m1cep.Engine([rule], FixedLookups({"bad": ["mallory"]}))
        events = [row(n=1, who="x"), row(n=2, who="bob"), row(n=1), row(n=2, who="mallory")]
        found = engine.push("s", [e | {"ts": i} for i, e in enumerate(events)]) + engine.finish()
        assert [a.row["who"] for a in found] == ["mallory"]


class TestParam:
    LOOKUPS = FixedLookups(
        params={"max": Parameter(100, {"vip": 1000.5, "7": 7}), "word": "stop", "own": Parameter(None, {"a": 1})}
    )

    @pytest.mark.parametrize(
        ("sql", "expected"),
        [
            ("PARAM('max')", 100.0),
            ("PARAM('max', 'vip')", 1000.5),
            ("PARAM('max', 'other')", 100.0),
            ("PARAM('max', n)", 7.0),
            ("PARAM('max', who)", None),  # of no key
            ("PARAM('own', 'b')", None),
            ("CAST(PARAM('word') AS STRING)", "stop"),
            ("CAST(PARAM('own', 'a') AS BIGINT)", 1),
            ("PARAM('max', 'vip') - PARAM('max')", 900.5),
        ],
    )
    def test_value(self, sql, expected):
        found = value(sql, self.LOOKUPS, n=7)
        assert found == expected
        assert type(found) is type(expected)

    def test_compares(self):
        sql = "SELECT k FROM s WHERE x > PARAM('max', who)"
        assert fires(sql, self.LOOKUPS, x=101, who="bob")
        assert not fires(sql, self.LOOKUPS, x=101, who="vip")
        assert not fires(sql, self.LOOKUPS, x=1e9)

    def test_one_that_is_missing_is_refused_at_the_start(self):
        with pytest.raises(m1cep.EngineError, match="rule 'r' reads parameter 'min', which is not there"):
            m1cep.Engine([compiled("SELECT k FROM s WHERE x > PARAM('min')")], self.LOOKUPS)

    def test_without_a_key_it_needs_a_value_for_all(self):
        with pytest.raises(m1cep.EngineError, match="parameter 'own', which has no default"):
            m1cep.Engine([compiled("SELECT k FROM s WHERE x > PARAM('own')")], self.LOOKUPS)

    def test_one_that_is_missing_is_null_where_the_rule_says_so(self):
        sql = "SELECT k FROM s WHERE NOT (x < PARAM('min') OR x > PARAM('min', k))"
        assert not fires(sql, FixedLookups(), "on_missing: unknown", x=1)

    @pytest.mark.parametrize("bad", ["text", True, float("inf"), 10**40, None])
    def test_a_value_of_another_type_is_refused(self, bad):
        lookups = FixedLookups(params={"max": Parameter(1, {"a": bad})})
        with pytest.raises(m1cep.EngineError, match="parameter 'max', which rule 'r' reads, key 'a': expected"):
            m1cep.Engine([compiled("SELECT k FROM s WHERE x > PARAM('max', k)")], lookups)


class TestRuleParameters:
    SQL = "SELECT k FROM s WHERE x > :limit AND who = :word AND ts + :wait > ts"
    MATTER = "params: {limit: 5.0, word: go, wait: 2 s}"

    def test_the_front_matter_has_the_default(self):
        assert fires(self.SQL, None, self.MATTER, x=6, who="go")

    def test_others_take_its_place(self):
        lookups = FixedLookups(rules={"r": {"limit": 100, "word": "stop"}})
        assert not fires(self.SQL, lookups, self.MATTER, x=6, who="go")
        assert fires(self.SQL, lookups, self.MATTER, x=101, who="stop")

    def test_those_of_another_rule_do_not(self):
        assert fires(self.SQL, FixedLookups(rules={"q": {"limit": 100}}), self.MATTER, x=6, who="go")

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"limit": "many"}, "parameter :limit of rule 'r': expected DOUBLE, got 'many'"),
            ({"wait": 5}, "parameter :wait of rule 'r': expected INTERVAL, a duration such as '5 s', got 5"),
            ({"word": 1}, "parameter :word of rule 'r': expected STRING, got 1"),
            ({"limits": 1}, "rule 'r' has no parameter :limits: expected one of limit, word, wait"),
        ],
    )
    def test_those_that_do_not_fit_are_refused(self, values, message):
        with pytest.raises(m1cep.EngineError, match=message):
            m1cep.Engine([compiled(self.SQL, self.MATTER)], FixedLookups(rules={"r": values}))

    def test_one_in_the_shape_of_the_rule_cannot_change(self):
        rule = compiled(
            """SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES A.n AS n PATTERN (A B) WITHIN :span
               DEFINE B AS B.ts > A.ts + :span)""",
            "params: {span: 5 s}",
        )
        assert m1cep.Engine([rule], FixedLookups(rules={"r": {"span": "5000 ms"}}))  # it is what it was
        with pytest.raises(m1cep.EngineError, match="parameter :span of rule 'r' cannot change at run time"):
            m1cep.Engine([rule], FixedLookups(rules={"r": {"span": "6 s"}}))


class TestChanges:
    SQL = "SELECT who FROM s WHERE IN_LIST('bad', who) AND x > :limit"

    def engine(self, lookups):
        return m1cep.Engine([compiled(self.SQL, "params: {limit: 5.0}")], lookups)

    def test_are_seen_by_the_next_batch(self):
        lookups = Changing(FixedLookups({"bad": ["a"]}))
        engine = self.engine(lookups)
        assert [a.row["who"] for a in engine.push("s", [row(who=w, x=6) for w in "ab"])] == ["a"]
        lookups.set(FixedLookups({"bad": ["b"]}, rules={"r": {"limit": 1}}))
        assert [a.row["who"] for a in engine.push("s", [row(who=w, x=2) for w in "ab"])] == ["b"]

    def test_that_do_not_fit_leave_everything_as_it_was(self):
        lookups = Changing(FixedLookups({"bad": ["a"]}))
        engine = self.engine(lookups)
        lookups.set(FixedLookups({"bad": ["b"]}, rules={"r": {"limit": "x"}}))
        with pytest.raises(m1cep.EngineError, match="expected DOUBLE"):
            engine.push("s", [row(who="b", x=6)])
        assert engine.events == 0
        lookups.set(FixedLookups({"bad": ["a"]}))
        assert [a.row["who"] for a in engine.push("s", [row(who=w, x=6) for w in "ab"])] == ["a"]

    def test_are_looked_for_by_revision_alone(self):
        lookups = Changing(FixedLookups({"bad": ["a"]}))
        engine = self.engine(lookups)
        before = list(lookups.reads)
        for _ in range(5):
            engine.push("s", [row(who="a", x=6)])
        assert lookups.reads == before != []

    def test_of_one_engine_are_none_of_anothers(self):
        rule = compiled(self.SQL, "params: {limit: 5.0}")
        one, two = (
            m1cep.Engine([rule], FixedLookups({"bad": ["a"]})),
            m1cep.Engine([rule], FixedLookups({"bad": ["b"]})),
        )
        events = [row(who=w, x=6) for w in "ab"]
        assert [e.push("s", events)[0].row["who"] for e in (one, two, one)] == ["a", "b", "a"]


def test_versions_tell_contents():
    first, again = (FixedLookups({"bad": entries}, {"max": 5}, {"r": {"limit": 1}}) for entries in ("ab", "ba"))
    other = FixedLookups({"bad": "abc"}, {"max": 5}, {"r": {"limit": 1}})
    assert first.versions() == again.versions()
    assert set(first.versions()) == {"list bad", "param max", "rule r"}
    assert {k for k, v in first.versions().items() if other.versions()[k] != v} == {"list bad"}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("IN_LIST(who, who)", "IN_LIST expects a name as its first argument, got who"),
        ("IN_LIST('bad')", "IN_LIST expects a list's name and a value"),
        ("IN_LIST('bad', x)", "IN_LIST expects STRING or integer, got DOUBLE"),
        ("IN_LIST('../bad', who)", "IN_LIST expects a name"),
        ("PARAM('max', x) > 1", "PARAM expects STRING or integer, got DOUBLE"),
        ("PARAM() > 1", "PARAM expects a parameter's name and a key"),
        ("CAST(PARAM('max') AS TIMESTAMP) > ts", r"a parameter cannot be TIMESTAMP\(3\)"),
        ("PARAM('max') = 'a'", "cannot compare DOUBLE = STRING"),
    ],
)
def test_wrong_use_is_refused(sql, message):
    with pytest.raises(m1cep.RuleError, match=message):
        compiled(f"SELECT k FROM s WHERE {sql}")


class TestFailClosed:
    """While a list cannot be asked, a rule that fails closed takes every question to it for answered with yes."""

    LISTS = FixedLookups({"bad": ["mallory"], "good": ["alice"]})

    def fires_while_away(self, condition, matter="on_missing: fail_closed", **values):
        lookups = Changing(self.LISTS, current=False)
        return fires(f"SELECT k FROM s WHERE {condition}", lookups, matter, **values)

    @pytest.mark.parametrize(
        "condition",
        [
            "IN_LIST('bad', who)",
            "NOT IN_LIST('good', who)",
            "x > 5 AND IN_LIST('bad', who)",
            "NOT (x < 5 OR IN_LIST('good', who))",
            "IN_LIST('bad', who) AND NOT IN_LIST('bad', who)",
            "IN_LIST('bad', n)",
        ],
    )
    def test_holds_whatever_is_asked(self, condition):
        assert self.fires_while_away(condition, who="alice", x=6, n=3)

    @pytest.mark.parametrize("condition", ["x < 5 AND IN_LIST('bad', who)", "IN_LIST('bad', who)"])
    def test_answers_nothing_else(self, condition):
        assert not self.fires_while_away(condition, x=6)  # and NULL is on no list

    @pytest.mark.parametrize("matter", ["", "on_missing: last_known", "on_missing: unknown"])
    def test_is_declared(self, matter):
        assert not self.fires_while_away("IN_LIST('bad', who)", matter, who="alice")
        assert self.fires_while_away("IN_LIST('bad', who)", matter, who="mallory")

    def test_ends_when_the_list_is_back(self):
        lookups = Changing(self.LISTS, current=False)
        engine = m1cep.Engine(
            [compiled("SELECT who FROM s WHERE IN_LIST('bad', who)", "on_missing: fail_closed")], lookups
        )
        [alert] = engine.push("s", [row(who="alice")])
        assert alert.lists == {"bad": "unavailable"}
        lookups.set(self.LISTS)
        assert engine.push("s", [row(who="alice")]) == []
        [alert] = engine.push("s", [row(who="mallory")])
        assert alert.lists == {"bad": self.LISTS.versions()["list bad"]}

    def test_needs_a_list(self):
        with pytest.raises(m1cep.RuleError, match="fail_closed is about lists"):
            compiled("SELECT k FROM s WHERE x > PARAM('max')", "on_missing: fail_closed")


class TestVersionsInAlerts:
    """An alert names the versions of what its rule reads, and of nothing else."""

    KNOWN = FixedLookups({"bad": ["a"], "other": ["b"]}, {"max": 5, "min": 1}, {"r": {"limit": 1}, "q": {"limit": 2}})

    def alert(self, sql, matter="", lookups=KNOWN):
        [found] = m1cep.Engine([compiled(sql, matter)], lookups).push("s", [row(who="a", x=6)])
        return found

    def test_of_lists_and_parameters(self):
        sql = "SELECT k FROM s WHERE IN_LIST('bad', who) AND x > PARAM('max') AND x > :limit"
        found = self.alert(sql, "params: {limit: 5.0}")
        v = self.KNOWN.versions()
        assert (found.lists, found.params) == ({"bad": v["list bad"]}, {"max": v["param max"], "rules.r": v["rule r"]})
        assert orjson.loads(found.to_json())["lists"] == {"bad": v["list bad"]}

    def test_none_where_nothing_is_read(self):
        assert not {"lists", "params"} & orjson.loads(self.alert("SELECT k FROM s").to_json()).keys()

    def test_change_with_the_contents_and_the_id_does_not(self):
        sql = "SELECT k FROM s WHERE IN_LIST('bad', who)"
        one, two = (self.alert(sql, lookups=FixedLookups({"bad": names})) for names in ("a", "ab"))
        assert one.id == two.id
        assert one.lists != two.lists

    @pytest.mark.parametrize("cut", range(3))
    def test_are_those_of_the_deciding_batch(self, cut):
        """Whatever the batch cuts and whether the engine was restored: what counts is where the change lies."""
        rule = compiled("SELECT n FROM s WHERE IN_LIST('bad', who)")
        events = [row(who="a", n=n, ts=n) for n in range(4)]
        before, after = FixedLookups({"bad": "a"}), FixedLookups({"bad": "ab"})
        engine = m1cep.Engine([rule], before)
        found = [a for part in (events[:cut], events[cut:2]) for a in engine.push("s", part)]
        engine = m1cep.Engine.restore([rule], engine.snapshot(), lookups=after)
        found += engine.push("s", events[2:])
        old, new = before.versions()["list bad"], after.versions()["list bad"]
        assert [(a.row["n"], a.lists["bad"]) for a in found] == [(0, old), (1, old), (2, new), (3, new)]


class TestAddresses:
    """Letters' case means nothing in some addresses, and everything in names of accounts."""

    MIXED, SEGWIT = "0xD90e2f925DA726b50C4Ed8D0Fb90Ad053324F31b", "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh"
    LISTED = FixedLookups({"l": [MIXED, SEGWIT, "Alice", "1AbC", "0xBad"]})

    @pytest.mark.parametrize(
        "who", [MIXED, MIXED.lower(), MIXED.upper(), SEGWIT, SEGWIT.upper(), "Alice", "1AbC", "0xBad"]
    )
    def test_an_address_is_found_however_it_is_written(self, who):
        assert fires("SELECT k FROM s WHERE IN_LIST('l', who)", self.LISTED, who=who)
        assert not fires("SELECT k FROM s WHERE NOT IN_LIST('l', who)", self.LISTED, who=who)

    @pytest.mark.parametrize("who", ["alice", "1abc", "0xbad", MIXED[:-1], ""])
    def test_what_is_no_such_address_is_found_only_as_it_is_written(self, who):
        assert not fires("SELECT k FROM s WHERE IN_LIST('l', who)", self.LISTED, who=who)

    def test_the_version_does_not_depend_on_how_addresses_are_written(self):
        assert FixedLookups({"l": [self.MIXED]}).versions() == FixedLookups({"l": [self.MIXED.lower()]}).versions()
