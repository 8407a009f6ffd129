"""Copies of lists go on whatever the disk says."""

import threading

import pytest
from pydantic import SecretStr

from streams.cache.content import Content
from streams.cache.copies import Copies
from streams.cache.kept import Kept

LABEL = "list sanctions"
PATIENCE_S = 30.0


@pytest.mark.parametrize("damaged", ["7", '["list sanctions"]', '"x"', "null", "", '{"list sanctions": 5}'])
def test_a_damaged_note_of_what_was_known_is_as_none_and_is_written_anew(tmp_path, damaged):
    (tmp_path / "known.json").write_text(damaged)
    kept = Kept(tmp_path)
    assert kept.last(frozenset({LABEL})).entries == {}
    kept.save(Content({}))
    assert kept.last(frozenset({LABEL})).entries == {}


class Broken:
    """What is kept can be neither read nor written, by an error that nobody has thought of."""

    def __init__(self):
        self.tries, self.often = 0, threading.Event()

    def save(self, _content):
        self.tries += 1
        if self.tries == 3:
            self.often.set()
        raise TypeError("nobody has thought of it")


def test_an_error_that_nobody_has_thought_of_does_not_end_the_looking_after_lists():
    kept = Broken()
    copies = Copies(SecretStr("redis://127.0.0.1:1/0"), [LABEL], kept=kept)
    copies._unsaved = True
    copies._thread.start()
    try:
        assert kept.often.wait(PATIENCE_S), "the thread has died: nobody would ever say that the cache is away"
        assert copies._thread.is_alive()
    finally:
        copies.close()
