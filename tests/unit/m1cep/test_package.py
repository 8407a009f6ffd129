"""What ``import m1cep`` gives, and what it does not cost."""

import subprocess
import sys

import pytest

import m1cep


@pytest.mark.parametrize("name", m1cep.__all__)
def test_each_public_name_is_there(name):
    assert getattr(m1cep, name).__name__ == name
    assert name in dir(m1cep)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'm1cep' has no attribute 'engin'"):
        m1cep.engin  # noqa: B018


def test_a_command_that_needs_no_rules_starts_without_the_compiler():
    code = (
        "import sys, streams.cli; print([name for name in ('m1cep.rule', 'sqlglot', 'faust') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
