"""How far clocks are off and how much places in the network matter, as the data tell: by the evidence.

Some prior spreads are no facts but guesses of a zone's kind. Each is tried at several multiples, the others held, and
the one under which the data are most probable is taken (MacKay, Neural Computation 4 (1992) 415).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from verifier.balance.information import Sums, solve
from verifier.balance.model import Terms
from verifier.balance.types import Floats

_TRIED: Final = (
    (("clocks", "reference_clock"), (0.25, 1.0, 4.0, 16.0, 64.0)),
    (("places",), (0.1, 0.4, 1.0, 2.5)),
    (("network_places",), (0.3, 1.0, 3.0)),
    (("rhythm",), (0.1, 1.0, 10.0)),
)


def likeliest_sd(terms: Terms, sums: Sums, changes_sd: Sequence[float]) -> Floats:
    """Prior standard deviations of the terms, (p,), scaled by group so that the data are most probable.

    `sums` hold the terms' columns and then those of changes with the standard deviations `changes_sd`.
    """
    prior = terms.prior.extended(changes_sd)
    best_sd = prior.sd
    best = solve(sums, prior).log_evidence
    for names, multiples in _TRIED:
        parts = [terms.columns(name) for name in names]
        before = best_sd
        for multiple in multiples:
            if multiple == 1.0 or all(part.start == part.stop for part in parts):
                continue
            tried = before.copy()
            for part in parts:
                tried[part] *= multiple
            evidence = solve(sums, replace(prior, sd=tried)).log_evidence
            if evidence > best:
                best, best_sd = evidence, tried
    return best_sd[: terms.sd.size]
