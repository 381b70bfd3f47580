"""What a single sampling plan (n, Ac) achieves: operating characteristic, outgoing quality, average sample number.

Qualities are fractions [1], not percent; every function takes scalars and arrays alike, answers in the
same shape, and raises InvalidInputError for an impossible plan or fractions outside 0 to 1.
Models: binomial (a long series of lots from one process), hypergeometric (an isolated lot of known size), Poisson
(nonconformities per unit). Sources: ISO 2859-1, clause 12; Schilling and Neubauer, Acceptance Sampling in Quality
Control, chapters 3 and 5.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from metrology.arrays import Floats, drop_0d, finite, floats, whole
from metrology.errors import InvalidInputError

Curtailment = Literal["none", "rejection", "full"]


def check_plan(sample_size: int, acceptance_number: int, lot_size: int | None = None) -> None:
    """Refuse a plan that can't be: n below 1, Ac outside 0 to n - 1, or a sample larger than its lot."""
    whole("sample size n", sample_size, least=1)
    whole("acceptance number Ac", acceptance_number, least=0)
    if acceptance_number >= sample_size:
        raise InvalidInputError(f"plan (n {sample_size}, Ac {acceptance_number}): Ac must be from 0 to n - 1")
    if lot_size is not None and sample_size > whole("lot size", lot_size, least=1):
        raise InvalidInputError(f"sample size {sample_size} exceeds the lot size {lot_size}")


def oc_binomial(fraction_nonconforming: ArrayLike, sample_size: int, acceptance_number: int) -> Floats:
    """P(accept) = sum over d <= Ac of C(n, d) p^d (1 - p)^(n - d); p [1] scalar or array, the same shape back."""
    check_plan(sample_size, acceptance_number)
    p = _fractions(fraction_nonconforming)
    return drop_0d(np.asarray(special.betainc(sample_size - acceptance_number, acceptance_number + 1, 1.0 - p)))


def oc_hypergeometric(
    nonconforming_in_lot: ArrayLike, lot_size: int, sample_size: int, acceptance_number: int
) -> Floats:
    """P(accept) for a lot of `lot_size` units of which `nonconforming_in_lot` [units] do not conform."""
    check_plan(sample_size, acceptance_number, whole("lot size", lot_size, least=1))
    defectives = floats("nonconforming_in_lot", nonconforming_in_lot)
    if not np.all((defectives >= 0) & (defectives <= lot_size) & (defectives == np.floor(defectives))):
        raise InvalidInputError(f"the nonconforming units of a lot must be whole numbers from 0 to its size {lot_size}")
    units = defectives.astype(np.int64)
    return drop_0d(np.asarray(np.clip(stats.hypergeom.cdf(acceptance_number, lot_size, units, sample_size), 0.0, 1.0)))


def oc_poisson(nonconformities_per_unit: ArrayLike, sample_size: int, acceptance_number: int) -> Floats:
    """P(accept) = P(Poisson(n u) <= Ac) for u nonconformities a unit [1]. Ac may exceed n here."""
    u = finite("nonconformities per unit", nonconformities_per_unit, least=0.0)
    whole("sample size n", sample_size, least=1)
    whole("acceptance number Ac", acceptance_number, least=0)
    return drop_0d(np.asarray(special.pdtr(acceptance_number, sample_size * u)))


def quality_at_acceptance(
    probability: ArrayLike, sample_size: int, acceptance_number: int, model: Literal["binomial", "poisson"] = "binomial"
) -> Floats:
    """The quality [1] that is accepted with a given probability: the inverse of the operating characteristic.

    At 0.10 it is the consumer's risk quality (ISO 2859-1, 12.6), at 0.95 the quality at 5 % producer's risk.
    """
    if model not in ("binomial", "poisson"):
        raise InvalidInputError(f"model {model!r} is unknown; use binomial or poisson")
    pa = _fractions(probability)
    if model == "poisson":
        oc_poisson(0.0, sample_size, acceptance_number)  # refuses an impossible plan; Ac may exceed n here
        return drop_0d(np.asarray(special.gammainccinv(acceptance_number + 1, pa) / sample_size))
    check_plan(sample_size, acceptance_number)
    return drop_0d(np.asarray(1.0 - special.betaincinv(sample_size - acceptance_number, acceptance_number + 1, pa)))


def average_outgoing_quality(
    fraction_nonconforming: ArrayLike, sample_size: int, acceptance_number: int, lot_size: int | None = None
) -> Floats:
    """AOQ [1] when rejected lots are screened and nonconforming units replaced: p Pa (1 - n/N) (ISO 2859-1, clause 12).

    Without a lot size the lot is large against its sample.
    """
    check_plan(sample_size, acceptance_number, lot_size)
    p = _fractions(fraction_nonconforming)
    remaining = 1.0 if lot_size is None else 1.0 - sample_size / lot_size
    return drop_0d(np.asarray(p * oc_binomial(p, sample_size, acceptance_number) * remaining))


def average_outgoing_quality_limit(
    sample_size: int, acceptance_number: int, lot_size: int | None = None
) -> tuple[float, float]:
    """(AOQL [1], the incoming quality [1] at which it occurs): the largest AOQ over all incoming qualities."""
    check_plan(sample_size, acceptance_number, lot_size)
    # AOQ has one maximum, below the quality that is accepted once in a thousand.
    upper = float(quality_at_acceptance(0.001, sample_size, acceptance_number))
    found = optimize.minimize_scalar(
        lambda p: -float(average_outgoing_quality(p, sample_size, acceptance_number, lot_size)),
        bounds=(0.0, upper),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return -float(found.fun), float(found.x)


def average_sample_number(
    fraction_nonconforming: ArrayLike, sample_size: int, acceptance_number: int, curtailment: Curtailment = "none"
) -> Floats:
    """Units inspected on average [units] when inspection stops early (binomial).

    `none`: all n. `rejection`: stop at the unit number Ac + 1 that does not conform. `full`: stop also when n - Ac
    units conform. By the identity E[T; T <= n] = (r/p) P(X_(n+1) > r) of the waiting time T for the r-th event, so
    that no sum over the sample is needed. A curtailed sample is biased: don't estimate a process average from it.
    """
    check_plan(sample_size, acceptance_number)
    p = _fractions(fraction_nonconforming)
    n, r = sample_size, acceptance_number + 1
    if curtailment not in get_args(Curtailment):
        known = ", ".join(get_args(Curtailment))
        raise InvalidInputError(f"curtailment {curtailment!r} is unknown; use one of {known}")
    if curtailment == "none":
        return drop_0d(np.asarray(np.full(p.shape, float(n))))
    rejected = _expected_wait(p, n, r)
    accepted_n = n * np.asarray(oc_binomial(p, n, acceptance_number))
    accepted = accepted_n if curtailment == "rejection" else _expected_wait(1.0 - p, n, n - acceptance_number)
    return drop_0d(np.asarray(rejected + accepted))


def _expected_wait(p: NDArray[np.float64], n: int, r: int) -> NDArray[np.float64]:
    """E[T; T <= n] for the waiting time T [units] of the r-th event of probability p."""
    tail = special.betainc(r + 1, n - r + 1, p)  # P(at least r + 1 events in n + 1 units)
    return np.divide(r * tail, p, out=np.zeros_like(p), where=p > 0)


def _fractions(values: ArrayLike) -> NDArray[np.float64]:
    array = floats("fractions", values)
    if not np.all((array >= 0) & (array <= 1)):
        raise InvalidInputError("qualities and probabilities are fractions from 0 to 1 (divide percentages by 100)")
    return array
