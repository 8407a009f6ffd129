"""Secret sharing: polynomials, their commitments, interpolation (RFC 9591, sections 4.2 and appendix C)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from m1cep.custody.frost.errors import EncodingError, SignersError
from m1cep.custody.frost.wire import MAX_IDENTIFIER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from m1cep.custody.frost.suite import Element, Scalar, Suite


def distinct(identifiers: Iterable[int], what: str = "signers") -> tuple[int, ...]:
    """The identifiers, ascending.

    Raises:
        SignersError: one comes twice, or is not 1 to 65535.
    """
    ordered = sorted(identifiers)
    if twice := sorted({a for a, b in pairwise(ordered) if a == b}):
        raise SignersError(f"the {what} must be distinct; {', '.join(map(str, twice))} comes more than once")
    if ordered and not 1 <= ordered[0] <= ordered[-1] <= MAX_IDENTIFIER:
        raise SignersError(f"the {what} must be numbered 1 to {MAX_IDENTIFIER}, not {ordered[0]} to {ordered[-1]}")
    return tuple(ordered)


def sum_of(suite: Suite, scalars: Iterable[Scalar]) -> Scalar:
    """Of one scalar or more."""
    first, *others = scalars
    for scalar in others:
        first = suite.scalar_add(first, scalar)
    return first


def polynomial_evaluate(suite: Suite, x: int, coefficients: Sequence[Scalar]) -> Scalar:
    """Appendix C.1.1: the polynomial at a public ``x``; the constant term comes first."""
    at, value = suite.scalar(x), coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = suite.scalar_add(suite.scalar_mul(value, at), coefficient)
    return value


def derive_interpolating_value(suite: Suite, identifiers: Sequence[int], identifier: int, *, at: int = 0) -> Scalar:
    """Section 4.2: by what this signer's value is multiplied when these signers interpolate the polynomial at ``at``.

    Everything in it is public, so it is done with Python's integers.

    Raises:
        SignersError: repeated identifiers, or this one is not among them.
    """
    if identifier not in distinct(identifiers):
        raise SignersError(f"signer {identifier} is not among the signers {', '.join(map(str, sorted(identifiers)))}")
    numerator = denominator = 1
    for other in identifiers:
        if other != identifier:
            numerator = numerator * (other - at) % suite.order
            denominator = denominator * (other - identifier) % suite.order
    return suite.scalar(numerator * pow(denominator, -1, suite.order))


def vss_commit(suite: Suite, coefficients: Sequence[Scalar]) -> tuple[Element, ...]:
    """Appendix C.2: the coefficients, each times the generator."""
    return tuple(suite.base_mul(coefficient) for coefficient in coefficients)


def vss_evaluate(suite: Suite, x: int, commitments: Sequence[Element]) -> Element:
    """The generator times the polynomial at ``x``, from its commitments.

    Raises:
        EncodingError: that would be the identity element.
    """
    first, *others = commitments
    powers = (suite.scalar(pow(x, k, suite.order)) for k in range(1, len(commitments)))
    return suite.add([first, *(suite.mul(element, power) for element, power in zip(others, powers, strict=True))])


def vss_verify(suite: Suite, x: int, share: Scalar, commitments: Sequence[Element]) -> bool:
    """Appendix C.2: whether a share at ``x`` is of the polynomial committed to."""
    try:
        return suite.base_mul(share) == vss_evaluate(suite, x, commitments)
    except EncodingError:
        return False
