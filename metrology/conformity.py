"""Conformity: does the true error lie within its permissible limits? (JCGM 106:2012)

In the field the probability of nonconformity decides (`decide`, `decide_many`); on a bench the measured error must
lie in an acceptance interval with a guard band (`decide_on_bench`). Limits are closed: an error exactly on a limit
conforms (JCGM 106, 3.3.5 and 3.3.9). The risks that such rules carry are in `metrology.risk`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from metrology.errors import InvalidInputError
from metrology.posterior import Floats, probability_outside_normal, probability_outside_student_normal

FloatArray = NDArray[np.float64]

ALARM_PROBABILITY: Final = 0.95
CLEAR_PROBABILITY: Final = 0.05
FITNESS_RATIO: Final = 3.0  # a bench's U (k = 2) is at most a third of the MPE, the usual rule of legal verification
_LIMIT_TOLERANCE: Final = 1e-9  # relative: keeps 0.3 - 0.1 and 0.3 / 3 on their stated side in binary arithmetic


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
    normal prior: conjugate update (JCGM 106, A.4.4). Where an estimate, uncertainty or limit is NaN the result is NaN,
    for which `decide` withholds. An uncertainty of 0 gives 0 or 1. Raises InvalidInputError for negative uncertainties
    or limits, for limits in the wrong order, and for degrees of freedom below 1.
    """
    error, std = np.asarray(error_pct, dtype=np.float64), np.asarray(std_pct, dtype=np.float64)
    lower, upper = _limits(mpe_pct, lower_pct, upper_pct)
    _refuse_where(std < 0, std, "std_pct", "is negative; give a standard uncertainty of at least 0 %")
    dof = None if degrees_of_freedom is None else np.asarray(degrees_of_freedom, dtype=np.float64)
    if dof is not None:
        _refuse_where(
            dof < 1, dof, "degrees_of_freedom", "is below 1; take more readings or state a normal uncertainty"
        )
    if prior is None:
        return _drop_0d(probability_outside_normal(error, std, lower, upper, dof))
    mean, spread = np.asarray(prior.mean_pct, dtype=np.float64), np.asarray(prior.std_pct, dtype=np.float64)
    _refuse_where(spread <= 0, spread, "prior.std_pct", "is not above 0; a certain prior leaves nothing to measure")
    if dof is not None:
        return _drop_0d(
            probability_outside_student_normal(
                error, std, dof, prior_mean=mean, prior_std=spread, lower=lower, upper=upper
            )
        )
    # Weight of the measurement; this form needs no division by std², which may be 0.
    weight = spread**2 / (spread**2 + std**2)
    posterior = mean + weight * (error - mean)
    return _drop_0d(probability_outside_normal(posterior, std * np.sqrt(weight), lower, upper, None))


def _limits(mpe: Floats | None, lower: Floats | None, upper: Floats | None) -> tuple[FloatArray, FloatArray]:
    if mpe is not None:
        if lower is not None or upper is not None:
            raise InvalidInputError("mpe_pct and lower_pct/upper_pct were both given; give one or the other")
        half = np.asarray(mpe, dtype=np.float64)
        _refuse_where(half < 0, half, "mpe_pct", "is negative; give the maximum permissible error without its sign")
        return -half, half
    if lower is None and upper is None:
        raise InvalidInputError("no limit was given; give mpe_pct, lower_pct or upper_pct")
    low = np.asarray(-np.inf if lower is None else lower, dtype=np.float64)
    high = np.asarray(np.inf if upper is None else upper, dtype=np.float64)
    _refuse_where(low > high, low, "lower_pct", "lies above upper_pct; exchange the limits")
    return low, high


def _refuse_where(bad: NDArray[np.bool_], values: FloatArray, name: str, what: str) -> None:
    if bad.any():
        value = float(np.broadcast_to(values, bad.shape)[bad].flat[0])
        raise InvalidInputError(f"{name} = {value:g} {what}")


def _drop_0d(values: FloatArray) -> Floats:
    return float(values) if values.ndim == 0 else values


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
    0 <= clear <= alarm <= 1.
    """
    if not 0 <= clear <= alarm <= 1:
        raise InvalidInputError(
            f"clear = {clear:g} and alarm = {alarm:g}: they must be ordered 0 <= clear <= alarm <= 1"
        )
    p = np.asarray(p_nonconforming, dtype=np.float64)
    codes = np.full(p.shape, CODE[Outcome.INCONCLUSIVE], dtype=np.int8)
    codes[p > alarm] = CODE[Outcome.NONCONFORMING]
    codes[p < clear] = CODE[Outcome.CONFORMING]
    codes[np.isnan(p)] = CODE[Outcome.WITHHELD]
    if withheld is not None:
        codes[withheld] = CODE[Outcome.WITHHELD]
    return codes


def outcomes_of(codes: NDArray[np.int8]) -> list[Outcome]:
    """The outcomes named by a one-dimensional array of codes from `decide_many`."""
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
    """One meter's decision with its reasons; arguments as for `probability_nonconforming` and `decide_many`.

    `withheld` holds what speaks against any verdict (too few readings, reference expired, ...): if there is one, the
    outcome is withheld for those reasons, whatever the figures say.
    """
    p = probability_nonconforming(
        error_pct,
        std_pct,
        mpe_pct,
        lower_pct=lower_pct,
        upper_pct=upper_pct,
        degrees_of_freedom=degrees_of_freedom,
        prior=prior,
    )
    outcome = OUTCOMES[int(decide_many(p, alarm=alarm, clear=clear))]
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
        case Outcome.INCONCLUSIVE:
            code = "straddles_limit"
            text = f"the uncertainty straddles a limit: probability {p:.4f} lies between {clear:g} and {alarm:g}"
        case Outcome.WITHHELD:
            code, text = "no_estimate", "no error or uncertainty could be had from these data"
    return Reason(code, text, figures)


@dataclass(frozen=True, slots=True)
class AcceptanceInterval:
    """Limits of the measured error [%] between which a bench accepts; `guard_band_pct` = w (JCGM 106, 3.3.9-3.3.11)."""

    lower_pct: float
    upper_pct: float
    guard_band_pct: float


def acceptance_interval(
    expanded_uncertainty_pct: float,
    mpe_pct: float | None = None,
    *,
    lower_pct: float | None = None,
    upper_pct: float | None = None,
    guard_factor: float = 1.0,
) -> AcceptanceInterval:
    """The tolerance interval narrowed on each side by w = r·U (JCGM 106, 8.3.2.1: guarded acceptance), U at k = 2.

    `guard_factor` r: 1 guards fully, 0 is simple acceptance (8.2.1), a negative one is guarded rejection (8.3.3).
    Raises InvalidInputError for a negative uncertainty and where the guard bands leave nothing to accept.
    """
    low_array, high_array = _limits(mpe_pct, lower_pct, upper_pct)
    low, high = float(low_array), float(high_array)
    if not expanded_uncertainty_pct >= 0:
        raise InvalidInputError(
            f"expanded_uncertainty_pct = {expanded_uncertainty_pct:g}; give a value of at least 0 %"
        )
    guard = guard_factor * expanded_uncertainty_pct
    if low + guard > high - guard:
        raise InvalidInputError(
            f"guard bands of {guard:g} % leave nothing of the interval {low:g} to {high:g} %;"
            " use a reference with a smaller uncertainty or a smaller guard factor"
        )
    return AcceptanceInterval(low + guard, high - guard, guard)


def decide_on_bench(
    error_pct: Floats,
    expanded_uncertainty_pct: float,
    mpe_pct: float,
    *,
    guard_factor: float = 1.0,
) -> NDArray[np.int8]:
    """Outcome codes for measured errors [%] on a bench, limits ±MPE, guard band w = r·U on both sides of each limit.

    Within MPE - w conforming, beyond MPE + w nonconforming, between inconclusive (repeat, or use a better reference),
    NaN withheld (JCGM 106, 8.3.2 and 8.3.3 together). With r = 0 the measured error alone decides.
    """
    if guard_factor < 0:
        raise InvalidInputError(f"guard_factor = {guard_factor:g}; give a factor of at least 0")
    accepted = acceptance_interval(expanded_uncertainty_pct, mpe_pct, guard_factor=guard_factor)
    size = np.abs(np.asarray(error_pct, dtype=np.float64))
    slack = _LIMIT_TOLERANCE * mpe_pct
    codes = np.full(size.shape, CODE[Outcome.INCONCLUSIVE], dtype=np.int8)
    codes[size <= accepted.upper_pct + slack] = CODE[Outcome.CONFORMING]
    codes[size > mpe_pct + accepted.guard_band_pct + slack] = CODE[Outcome.NONCONFORMING]
    codes[np.isnan(size)] = CODE[Outcome.WITHHELD]
    return codes


def measurement_capability_index(std_pct: Floats, lower_pct: Floats, upper_pct: Floats) -> Floats:
    """C_m = (T_U - T_L) / (4·u_m), dimensionless (JCGM 106, 7.6.3); u_m above 0."""
    std = np.asarray(std_pct, dtype=np.float64)
    _refuse_where(~(std > 0), std, "std_pct", "is not above 0")
    low, high = _limits(None, lower_pct, upper_pct)
    return _drop_0d((high - low) / (4.0 * std))


def fit_for_verification(expanded_uncertainty_pct: Floats, mpe_pct: Floats, *, ratio: float = FITNESS_RATIO) -> Any:
    """True where U (k = 2) [%] of a bench or reference is at most MPE / ratio; equality is fit, NaN is not."""
    expanded = np.asarray(expanded_uncertainty_pct, dtype=np.float64)
    limit = np.asarray(mpe_pct, dtype=np.float64) / ratio
    fit = (expanded >= 0) & (expanded <= limit * (1 + _LIMIT_TOLERANCE))
    return bool(fit) if fit.ndim == 0 else fit


def unfitness_reason(expanded_uncertainty_pct: float, mpe_pct: float, *, ratio: float = FITNESS_RATIO) -> Reason | None:
    """Why a bench or reference may not be used for a verification at this MPE, or None if it is fit."""
    if fit_for_verification(expanded_uncertainty_pct, mpe_pct, ratio=ratio):
        return None
    return Reason(
        "reference_unfit",
        f"expanded uncertainty {expanded_uncertainty_pct:g} % (k = 2) exceeds 1/{ratio:g} of the MPE of {mpe_pct:g} %",
        {"expanded_uncertainty_pct": expanded_uncertainty_pct, "mpe_pct": mpe_pct, "ratio": ratio},
    )
