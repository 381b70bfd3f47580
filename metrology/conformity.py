"""Conformity: does the true error lie within its permissible limits? (JCGM 106:2012)

In the field the probability of nonconformity decides (`decide`, `decide_errors`); on a bench an acceptance interval
with a guard band does (`metrology.acceptance`). Limits are closed: an error exactly on a limit conforms (JCGM 106,
3.3.5 and 3.3.9). The risks that such rules carry are in `metrology.risk`.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metrology.arrays import FloatArray, Floats, floats, refuse_where
from metrology.errors import InvalidInputError
from metrology.nonconformity import NormalPrior, limits, probability_nonconforming, tails
from metrology.outcomes import CODE, OUTCOMES, Decision, Outcome, Reason

__all__ = [
    "ALARM_PROBABILITY",
    "CLEAR_PROBABILITY",
    "CODE",
    "ONE_SIDED_95",
    "OUTCOMES",
    "Decision",
    "NormalPrior",
    "Outcome",
    "Reason",
    "decide",
    "decide_errors",
    "decide_many",
    "limits",
    "outcomes_of",
    "probability_nonconforming",
    "widest_std_pct",
]

ALARM_PROBABILITY: Final = 0.95
CLEAR_PROBABILITY: Final = 0.05
ONE_SIDED_95: Final = 1.645  # quantile of the standard normal distribution


def widest_std_pct(mpe_pct: float) -> float:
    """The greatest standard uncertainty [%] with which a verdict can be had at all against limits of ±`mpe_pct`.

    Then an error of zero and one of twice the limit are each told with 95 % probability.
    """
    return mpe_pct / (2 * ONE_SIDED_95)


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
    below, above = tails(error_pct, std_pct, mpe_pct, lower_pct, upper_pct, degrees_of_freedom, prior)
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
