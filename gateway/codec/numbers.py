"""Registers as JSON dialects write them, to exact decimal texts."""

import re
from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,2})?")
# Sums and products of such numbers are exact with so many digits; if ever not, that is told rather than rounded.
_EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, Overflow])


def exact_decimal(value: Any) -> Decimal | None:
    """The number that a JSON number or a decimal text states, every digit of it; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        if isinstance(value, int) and value.bit_length() > 100:
            return None
        text = str(value)
    else:
        return None
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def scaled_sum(values: Iterable[Decimal], multiplier: Decimal) -> Decimal:
    """The sum of the values times the multiplier, exact."""
    total = Decimal(0)
    for value in values:
        total = _EXACT.add(total, value)
    return _EXACT.multiply(total, multiplier)


def running_sums(start: Decimal, steps: Iterable[Decimal], sign: int) -> list[Decimal]:
    """`start` and what it becomes after each step in turn, added (sign 1) or taken away (-1), exact."""
    sums = [start]
    for step in steps:
        sums.append(_EXACT.add(sums[-1], step if sign > 0 else -step))
    return sums
