"""What IN_LIST finds is what the list's meaning says, however the engine looks: an entry as it is, an address in any letters."""

from hypothesis import given
from hypothesis import strategies as st

import m1cep
from m1cep.runtime.addresses import folded, has_caseless, is_caseless, look_ahead, normal_address

STREAMS = m1cep.parse_streams(
    "CREATE TABLE moves (address STRING, ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts AS ts) WITH ('topic' = 'moves')"
)
LISTED = m1cep.compile_rule("SELECT address FROM moves WHERE IN_LIST('bad', address)", STREAMS, "listed")
OTHERS = m1cep.compile_rule("SELECT address FROM moves WHERE NOT IN_LIST('bad', address)", STREAMS, "others")

EVM = "0x" + "aB3" * 13 + "c"
SEGWIT = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
BASE58 = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"
PLAIN = ("0xBad", "bc1", "Alice", "alice", "\u0130", "\u017f", "\u212a", "\ufb01", "", "0X", EVM + "0", EVM[:-1])
letters = st.sampled_from([str, str.lower, str.upper, str.swapcase, str.title])
texts = st.builds(lambda text, change: change(text), st.sampled_from([EVM, SEGWIT, BASE58, *PLAIN]), letters)


@given(st.frozensets(texts, max_size=6), st.lists(texts, min_size=1, max_size=12))
def test_listed_are_entries_and_addresses_in_any_letters(entries, looked_for):
    lookups = m1cep.FixedLookups(lists={"bad": entries})
    normal = {normal_address(entry) for entry in entries}
    found = {
        rule.id: [
            alert.row["address"]
            for alert in m1cep.Engine([rule], lookups).push(
                "moves", [{"address": text, "ts": n} for n, text in enumerate(looked_for)]
            )
        ]
        for rule in (LISTED, OTHERS)
    }
    assert found["listed"] == [text for text in looked_for if normal_address(text) in normal]
    assert found["others"] == [text for text in looked_for if normal_address(text) not in normal]


@given(st.lists(st.tuples(st.frozensets(texts, max_size=4), st.frozensets(texts, max_size=3)), max_size=6))
def test_a_list_that_changes_is_looked_into_as_a_new_one(changes):
    entries = frozenset()
    look_ahead(entries)
    for come, gone in changes:
        before = entries
        new = frozenset(map(normal_address, come)) - before
        entries = (before - gone) | new
        look_ahead(entries, before, new)
        assert has_caseless(entries) >= any(map(is_caseless, entries))
        if has_caseless(entries):
            assert folded(entries) >= {entry.lower() for entry in entries} | entries
