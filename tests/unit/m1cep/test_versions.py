"""Versions of lists: known from the entries, however they came."""

from hypothesis import given
from hypothesis import strategies as st

from m1cep.runtime.versions import ListVersion, value_version

ENTRIES = st.sets(st.text(min_size=1), max_size=8)


@given(ENTRIES, ENTRIES, st.randoms())
def test_the_way_to_the_contents_does_not_matter(before, after, random):
    """Entry by entry in any order, or from another list by what came and what went."""
    grown = ListVersion(before)
    steps = [(grown.remove, e) for e in before - after] + [(grown.add, e) for e in after - before]
    random.shuffle(steps)
    for step, entry in steps:
        step(entry)
    at_once = ListVersion(sorted(after))
    assert (grown.text, grown.count) == (at_once.text, at_once.count)


@given(ENTRIES, ENTRIES)
def test_other_contents_are_another_version(one, other):
    assert (ListVersion(one).text == ListVersion(other).text) is (one == other)


def test_entries_do_not_run_together():
    assert ListVersion(["ab", "c"]).text != ListVersion(["a", "bc"]).text


def test_values_in_another_order_are_the_same():
    assert value_version({"a": 1, "b": [1, 2]}) == value_version({"b": [1, 2], "a": 1})
    assert value_version({"a": [1, 2]}) != value_version({"a": [2, 1]})
