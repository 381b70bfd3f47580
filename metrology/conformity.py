"""Conformity: does the true error lie within its permissible limits? (JCGM 106:2012)

In the field the probability of nonconformity decides (`decide`, `decide_errors`); on a bench an acceptance interval
with a guard band does (`metrology.acceptance`). Limits are closed: an error exactly on a limit conforms (JCGM 106,
3.3.5 and 3.3.9). The risks that such rules carry are in `metrology.risk`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from metrology.arrays import FloatArray, Floats, drop_0d, floats, refuse_where, same_shape
from metrology.errors import InvalidInputError
from metrology.posterior import Tails, normal_tails, student_normal_tails

ALARM_PROBABILITY: Final = 0.95
CLEAR_PROBABILITY: Final = 0.05
_LARGEST_PCT: Final = 1e15  # an estimate beyond is none, an uncertainty beyond is ignorance; squares stay finite


class Outcome(StrEnum):
    """What the evidence says about conformity."""

    CONFORMING = "conforming"
    NONCONFORMING = "nonconforming"
    INCONCLUSIVE = "inconclusive"
    WITHHELD = "withheld"


OUTCOMES: Final = tuple(Outcome)  # the position is the integer code that decide_many returns
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


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """What is known of the true error before the measurement: N(mean_pct, std_pct²) [%], scalars or arrays."""

    mean_pct: Floats
    std_pct: Floats


@overload
def probability_nonconforming(  # type: ignore[overload-overlap]  # a float is a Floats as well; this one wins
    error_pct: float,
    std_pct: float,
    mpe_pct: float | None = ...,
    *,
    lower_pct: float | None = ...,
    upper_pct: float | None = ...,
    degrees_of_freedom: float | None = ...,
    prior: NormalPrior | None = ...,
) -> float: ...


@overload
def probability_nonconforming(
    error_pct: Floats,
    std_pct: Floats,
    mpe_pct: Floats | None = ...,
    *,
    lower_pct: Floats | None = ...,
    upper_pct: Floats | None = ...,
    degrees_of_freedom: Floats | None = ...,
    prior: NormalPrior | None = ...,
) -> FloatArray: ...


def probability_nonconforming(
    error_pct: Floats,
    std_pct: Floats,
    mpe_pct: Floats | None = None,
    *,
    lower_pct: Floats | None = None,
    upper_pct: Floats | None = None,
    degrees_of_freedom: Floats | None = None,
    prior: NormalPrior | None = None,
) -> Floats:
    """P(true error outside its limits | data), in [0, 1], the broadcast shape of the arguments.

    `error_pct` and `std_pct` are the estimate and its standard uncertainty [%]. Give either `mpe_pct` (limits ±MPE) or
    `lower_pct` and/or `upper_pct` (a missing one is no limit) [%]. With `degrees_of_freedom` the true error is
    Student t about the estimate; without, normal. A `prior` is combined with the measurement by Bayes' rule.

    Normal: p = Φ((L - e)/u) + Φ((e - U)/u) (JCGM 106, 7.2-7.4); t: likewise with the t distribution (JCGM 101, 6.4.9);
    normal prior: conjugate update (JCGM 106, A.4.4). Where an estimate is NaN, infinite or beyond 1e15 %, or another
    argument NaN, the result is NaN, for which `decide` withholds. An uncertainty of 0 gives 0 or 1, an infinite one
    leaves ignorance or the prior. Raises InvalidInputError for negative uncertainties or limits, an infinite MPE or
    prior, limits in the wrong order, degrees of freedom below 1, no real numbers, shapes that don't fit.
    """
    below, above = _tails(error_pct, std_pct, mpe_pct, lower_pct, upper_pct, degrees_of_freedom, prior)
    return drop_0d(below + above)


def _tails(
    error_pct: Floats,
    std_pct: Floats,
    mpe_pct: Floats | None,
    lower_pct: Floats | None,
    upper_pct: Floats | None,
    degrees_of_freedom: Floats | None,
    prior: NormalPrior | None,
) -> Tails:
    """P(true error < lower limit) and P(> upper limit), in broadcast shape; errors as `probability_nonconforming`."""
    error, std = floats("error_pct", error_pct), floats("std_pct", std_pct)
    refuse_where(std < 0, std, "std_pct", "is negative; give a standard uncertainty of at least 0 %")
    std = np.minimum(std, _LARGEST_PCT)  # ignorance, however large
    usable = np.abs(error) <= _LARGEST_PCT
    if not usable.all():
        error = np.where(usable, error, np.nan)
    lower, upper = limits(mpe_pct, lower_pct, upper_pct)
    dof = None if degrees_of_freedom is None else floats("degrees_of_freedom", degrees_of_freedom)
    if dof is not None:
        refuse_where(dof < 1, dof, "degrees_of_freedom", "is below 1; take more readings or state a normal uncertainty")
    mean, spread = _prior(prior) if prior is not None else (np.asarray(0.0), np.asarray(1.0))
    same_shape(error=error, std=std, lower=lower, upper=upper, dof=np.asarray(dof), mean=mean, spread=spread)
    if prior is None:
        return normal_tails(error, std, lower, upper, dof)
    if dof is not None:
        return student_normal_tails(error, std, dof, prior_mean=mean, prior_std=spread, lower=lower, upper=upper)
    # This form divides by neither variance, of which one may be 0, and squares nothing large.
    together = np.hypot(std, spread)
    weight = (spread / together) ** 2  # of the measurement
    return normal_tails(mean + weight * (error - mean), spread * (std / together), lower, upper)


def _prior(prior: NormalPrior) -> tuple[FloatArray, FloatArray]:
    mean, spread = floats("prior.mean_pct", prior.mean_pct), floats("prior.std_pct", prior.std_pct)
    refuse_where(spread <= 0, spread, "prior.std_pct", "is not above 0; a certain prior leaves nothing to measure")
    for name, array in (("prior.mean_pct", mean), ("prior.std_pct", spread)):
        refuse_where(np.abs(array) > _LARGEST_PCT, array, name, "is too large; without knowledge give no prior")
    return mean, spread


def limits(mpe: Floats | None, lower: Floats | None, upper: Floats | None) -> tuple[FloatArray, FloatArray]:
    """Lower and upper limit [%] from ±MPE or from one or two limits; raises InvalidInputError for a contradiction."""
    if mpe is not None:
        if lower is not None or upper is not None:
            raise InvalidInputError("mpe_pct and lower_pct/upper_pct were both given; give one or the other")
        half = floats("mpe_pct", mpe)
        refuse_where(half < 0, half, "mpe_pct", "is negative; give the maximum permissible error without its sign")
        refuse_where(np.isinf(half), half, "mpe_pct", "is no limit; give the maximum permissible error of a regulation")
        return -half, half
    if lower is None and upper is None:
        raise InvalidInputError("no limit was given; give mpe_pct, lower_pct or upper_pct")
    low = floats("lower_pct", -np.inf if lower is None else lower)
    high = floats("upper_pct", np.inf if upper is None else upper)
    same_shape(lower_pct=low, upper_pct=high)
    refuse_where(low > high, low, "lower_pct", "lies above upper_pct; exchange the limits")
    refuse_where(low == np.inf, low, "lower_pct", "is no limit; a missing lower limit is -inf")
    refuse_where(high == -np.inf, high, "upper_pct", "is no limit; a missing upper limit is inf")
    refuse_where(np.isinf(low) & np.isinf(high), low, "lower_pct", "and no upper limit: give at least one of them")
    return low, high


def decide_many(
    p_nonconforming: Floats,
    *,
    alarm: float = ALARM_PROBABILITY,
    clear: float = CLEAR_PROBABILITY,
    withheld: NDArray[np.bool_] | None = None,
) -> NDArray[np.int8]:
    """Outcome codes (positions in OUTCOMES) for probabilities of nonconformity, the same shape.

    p > alarm is nonconforming, p < clear conforming, everything between and the thresholds themselves inconclusive;
    NaN and every place where the mask `withheld` is True is withheld. Raises InvalidInputError unless
    0 <= clear <= alarm <= 1, for probabilities outside [0, 1], and for a mask that is not one of truth values.
    """
    if not 0 <= clear <= alarm <= 1:
        raise InvalidInputError(
            f"clear = {clear:g} and alarm = {alarm:g}: they must be ordered 0 <= clear <= alarm <= 1"
        )
    p = floats("p_nonconforming", p_nonconforming)
    # The sum of two tails may exceed 1 by the last bits.
    refuse_where((p < 0) | (p > 1 + 1e-9), p, "p_nonconforming", "is no probability; give values from 0 to 1")
    codes = np.full(p.shape, CODE[Outcome.INCONCLUSIVE], dtype=np.int8)
    codes[p > alarm] = CODE[Outcome.NONCONFORMING]
    codes[p < clear] = CODE[Outcome.CONFORMING]
    codes[np.isnan(p)] = CODE[Outcome.WITHHELD]
    if withheld is not None:
        mask = np.asarray(withheld)
        if mask.dtype != np.bool_ or mask.shape not in ((), p.shape):
            raise InvalidInputError(
                f"withheld must be a mask of truth values of shape {p.shape}; it is {mask.dtype} of shape {mask.shape}"
            )
        codes[np.broadcast_to(mask, p.shape)] = CODE[Outcome.WITHHELD]
    return codes


def decide_errors(
    error_pct: Floats,
    std_pct: Floats,
    mpe_pct: Floats | None = None,
    *,
    lower_pct: Floats | None = None,
    upper_pct: Floats | None = None,
    degrees_of_freedom: Floats | None = None,
    prior: NormalPrior | None = None,
    alarm: float = ALARM_PROBABILITY,
    clear: float = CLEAR_PROBABILITY,
    withheld: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int8], FloatArray]:
    """Outcome codes and probabilities of nonconformity for many errors; arguments as for the two functions above.

    Stricter than `decide_many` in one respect: nonconforming needs one side alone to be beyond its limit with a
    probability above `alarm`. Where the uncertainty is far larger than the limits, nearly all probability lies outside
    of them on both sides together, whatever the meter does; that is ignorance and comes out as inconclusive.
    """
    below, above = _tails(error_pct, std_pct, mpe_pct, lower_pct, upper_pct, degrees_of_freedom, prior)
    p = np.asarray(below + above)
    codes = decide_many(p, alarm=alarm, clear=clear, withheld=withheld)
    ignorant = (codes == CODE[Outcome.NONCONFORMING]) & (np.maximum(below, above) <= alarm)
    return np.where(ignorant, np.int8(CODE[Outcome.INCONCLUSIVE]), codes), p


def outcomes_of(codes: NDArray[np.int8]) -> list[Outcome]:
    """The outcomes named by a one-dimensional array of codes from `decide_many`; refuses codes that name none."""
    wrong = (np.asarray(codes) < 0) | (np.asarray(codes) >= len(OUTCOMES))
    refuse_where(wrong, np.asarray(codes), "code", f"names no outcome; codes go from 0 to {len(OUTCOMES) - 1}")
    return [OUTCOMES[code] for code in codes]


def decide(
    error_pct: float,
    std_pct: float,
    mpe_pct: float | None = None,
    *,
    lower_pct: float | None = None,
    upper_pct: float | None = None,
    degrees_of_freedom: float | None = None,
    prior: NormalPrior | None = None,
    alarm: float = ALARM_PROBABILITY,
    clear: float = CLEAR_PROBABILITY,
    withheld: Sequence[Reason] = (),
) -> Decision:
    """One meter's decision with its reasons; arguments and rule as for `decide_errors`.

    `withheld` holds what speaks against any verdict (too few readings, reference expired, ...): if there is one, the
    outcome is withheld for those reasons, whatever the figures say.
    """
    code, probability = decide_errors(
        error_pct,
        std_pct,
        mpe_pct,
        lower_pct=lower_pct,
        upper_pct=upper_pct,
        degrees_of_freedom=degrees_of_freedom,
        prior=prior,
        alarm=alarm,
        clear=clear,
    )
    outcome, p = OUTCOMES[int(code)], float(probability)
    if withheld:
        return Decision(Outcome.WITHHELD, p, tuple(withheld))
    figures: dict[str, Any] = {
        "error_pct": error_pct,
        "std_pct": std_pct,
        "p_nonconforming": p,
        "alarm": alarm,
        "clear": clear,
    }
    figures |= {"mpe_pct": mpe_pct} if mpe_pct is not None else {"lower_pct": lower_pct, "upper_pct": upper_pct}
    return Decision(outcome, p, (_reason_for(outcome, figures),))


def _reason_for(outcome: Outcome, figures: dict[str, Any]) -> Reason:
    p, alarm, clear = figures["p_nonconforming"], figures["alarm"], figures["clear"]
    match outcome:
        case Outcome.NONCONFORMING:
            code, text = "outside_limits", f"the error lies outside its limits with probability {p:.4f} > {alarm:g}"
        case Outcome.CONFORMING:
            code, text = "within_limits", f"the error lies outside its limits with probability {p:.4f} < {clear:g} only"
        case Outcome.INCONCLUSIVE if p > alarm:
            code = "uncertainty_too_large"
            text = f"the uncertainty of {figures['std_pct']:g} % is so large that the error may lie beyond either limit"
        case Outcome.INCONCLUSIVE:
            code = "straddles_limit"
            text = f"the uncertainty straddles a limit: probability {p:.4f} lies between {clear:g} and {alarm:g}"
        case Outcome.WITHHELD:
            code, text = "no_estimate", "no error or uncertainty could be had from these data"
    return Reason(code, text, figures)
