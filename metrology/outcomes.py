"""What a decision is: an outcome with its reasons, in the vocabulary of JCGM 106 and of the interfaces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Outcome(StrEnum):
    """What the evidence says about conformity."""

    CONFORMING = "conforming"
    NONCONFORMING = "nonconforming"
    INCONCLUSIVE = "inconclusive"
    WITHHELD = "withheld"


OUTCOMES: Final = tuple(Outcome)  # the position is the integer code that arrays of outcomes hold
CODE: Final[Mapping[Outcome, int]] = {outcome: code for code, outcome in enumerate(OUTCOMES)}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an outcome was reached, left open or withheld: a stable code, a sentence, and the figures that show it."""

    code: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome, the probability it rests on (NaN where none could be had) and its reasons."""

    outcome: Outcome
    p_nonconforming: float
    reasons: tuple[Reason, ...] = ()
