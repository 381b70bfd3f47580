"""Wrong input is refused by name or handled as documented: never a warning of numpy, never a silent figure.

Warnings are errors in the whole suite, so a call that returns here has raised none.
"""

import math
from datetime import UTC, date, datetime

import numpy as np
import pytest

from metrology import (
    acceptance,
    conformity,
    degradation,
    gas,
    laboratories,
    lifetime,
    montecarlo,
    mpe,
    proportions,
    registers,
    risk,
    running_error,
    validity,
)
from metrology.conformity import NormalPrior, Outcome, decide, decide_many, probability_nonconforming
from metrology.errors import InvalidInputError
from metrology.gas_composition import Composition
from metrology.gas_compressibility import compressibility
from metrology.load_marks import water_marks
from metrology.regulation import edition_in_force, get_regulation
from metrology.sampling import characteristics, design, draw, plans, switching, variables
from metrology.uncertainty import Budget, Component

NAN, INF = math.nan, math.inf
R46, WATER, HEBEI = (
    get_regulation("oiml-r46-2012"),
    get_regulation("jjg-162-2019"),
    get_regulation("jjf-hebei-174-2020"),
)
JJG596, JIANGXI = get_regulation("jjg-596-2012"), get_regulation("jjf-jiangxi-017-2020")
MARKS = {"i_st": 0.02, "i_min": 0.25, "i_tr": 0.5, "i_max": 60.0}
METHANE = Composition.of({"methane": 0.96, "ethane": 0.02, "nitrogen": 0.02})
NO_INTERVAL = proportions.ProportionInterval(NAN, NAN, NAN, 0.95, "")
ALIKE = degradation.snapshot(np.zeros(20), 0.1)
NUMBERS = [NAN, INF, -INF, -1.0, 0.0, 1e308, -1e308, 1e-320]
SIGNED = (-1.0, 0.0, 1e-320)  # the ones of NUMBERS that any signed quantity may take
NOT_NUMBERS = ["2.0", None, 1j, True, [1.0, "a"], [[1.0], [1.0, 2.0]]]


def mpe_r46(load, stage="initial", accuracy_class="B", **rest):
    conditions = mpe.Conditions(**({"marks": MARKS, "power_factor": 1.0} | rest))
    return mpe.mpe_pct(R46, stage, accuracy_class, load, conditions)


def risks(mean=0.0, spread=0.1, u=0.1, **rest):
    return risk.global_risks(NormalPrior(mean, spread), u, **({"lower_pct": -1.0, "upper_pct": 1.0} | rest))


def bench(error=0.5, expanded=0.2, limit=1.0, factor=1.0):
    return acceptance.decide_on_bench(error, expanded, limit, guard_factor=factor)


# Every function of one number that measures something, and whether 0 and negative values belong to it.
ONE_NUMBER = {
    "load": (mpe_r46, ()),
    "mark": (lambda v: mpe_r46(1.0, marks=MARKS | {"i_max": v}), ()),
    "power factor": (lambda v: mpe_r46(1.0, power_factor=v), ()),
    "uncertainty on a bench": (lambda v: bench(expanded=v), (0.0, 1e-320)),
    "MPE on a bench": (lambda v: bench(limit=v), ()),
    "guard factor": (lambda v: bench(factor=v), (0.0, 1e-320)),
    "guard factor of an interval": (lambda v: acceptance.acceptance_interval(0.2, 1.0, guard_factor=v), SIGNED),
    "ratio of fitness": (lambda v: acceptance.fit_for_verification(0.1, 1.0, ratio=v), ()),
    "risk: prior mean": (lambda v: risks(mean=v), SIGNED),
    "risk: prior spread": (lambda v: risks(spread=v), ()),
    "risk: u": (lambda v: risks(u=v), ()),
    "risk: guard band": (lambda v: risks(guard_band_pct=v), SIGNED),
    "E_n: result": (lambda v: laboratories.en_score(v, 0.1, 0.0, 0.1), SIGNED),
    "E_n: U": (lambda v: laboratories.en_score(1.0, v, 0.0, 0.1), (0.0, 1e-320)),
    "assigned value": (lambda v: laboratories.assigned_value(v, 0.1, 2), SIGNED),
    "assigned u": (lambda v: laboratories.assigned_value(1.0, v, 2), (0.0, 1e-320)),
    "weighted mean: u": (lambda v: laboratories.weighted_mean([1.0, 2.0], [0.1, v]), ()),
    "temperature": (lambda v: gas.volume_conversion_factor(v, 101.0), ()),
    "pressure": (lambda v: gas.volume_conversion_factor(293.0, v), ()),
    "base volume": (lambda v: gas.base_volume_m3(v, 293.0, 101.0), SIGNED),
    "calorific value": (lambda v: gas.energy_kwh(1.0, v), ()),
    "base temperature": (gas.BaseConditions, ()),
    "altitude": (gas.atmospheric_pressure_kpa, SIGNED),
    "Z: temperature": (lambda v: compressibility(METHANE, v, 500.0), ()),
    "Z: pressure": (lambda v: compressibility(METHANE, 293.0, v), ()),
    "mole fraction": (lambda v: Composition.of({"methane": v}), ()),
    "Q3": (lambda v: water_marks(v, 160, 1.6, 1.25), ()),
    "R": (lambda v: water_marks(2.5, v, 1.6, 1.25), ()),
    "nominal diameter": (
        lambda v: validity.validity_rule(WATER, validity.MeterTraits(nominal_diameter_mm=v, q3_m3ph=2.5)), ()
    ),
    "i_max": (lambda v: running_error.meter_faults(HEBEI, 1.0, 1.0, v, 220.0), ()),
    "i_b": (lambda v: running_error.is_monitorable(JIANGXI, np.ones(40), v), ()),
    "quality": (lambda v: characteristics.oc_binomial(v, 50, 1), (0.0, 1e-320)),
    "limiting quality": (lambda v: design.limiting_quality_plan(5000, v, 0), ()),
    "risk of a plan": (lambda v: design.limiting_quality_plan(5000, 5.0, 0, v), (1e-320,)),
    "AQL": (lambda v: plans.single_sampling_plan(500, v), ()),
    "k of the s-method": (lambda v: variables.oc_s_method(0.1, 10, v), SIGNED),
    "age of a unit": (lambda v: lifetime.lifetime_data([v], [5.0]), (0.0, 1e-320)),
    "shape": (lambda v: lifetime.zero_failure_bound([5.0], v, 3.0), ()),
    "age of a path": (lambda v: degradation.fit_paths([1, 1], [5.0, v], [0.1, 0.2], 0.1), (0.0, 1e-320)),
    "u of a path": (lambda v: degradation.fit_paths([1, 1], [5.0, 6.0], [0.1, 0.2], v), ()),
    "u of a component": (lambda v: Component("x", 0.0, v), (0.0, 1e-320)),
    "degrees of freedom": (lambda v: Component("x", 0.0, 1.0, degrees_of_freedom=v), (INF, 1e308)),
    "coverage factor": (lambda v: Component.from_expanded("x", 0.0, 1.0, v), (1e308,)),
    "value of a budget": (lambda v: Budget("y", "", v, (Component("x", 0.0, 1.0),)), (*SIGNED, 1e308, -1e308)),
}  # fmt: skip


@pytest.mark.parametrize("value", NUMBERS, ids=str)
@pytest.mark.parametrize("name", ONE_NUMBER)
def test_numbers_out_of_place_are_refused_by_name_and_value(name, value):
    call, allowed = ONE_NUMBER[name]
    if value in allowed:
        call(value)
        return
    with pytest.raises(InvalidInputError) as refused:
        call(value)
    assert len(str(refused.value)) > 20


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
@pytest.mark.parametrize("name", [n for n in ONE_NUMBER if n not in ("AQL", "mole fraction", "value of a budget")])
def test_what_is_no_number_is_refused(name, value):
    if value is True and name in ("weighted mean: u", "age of a path"):
        return  # numpy has made a list of numbers and truth values a list of numbers already
    with pytest.raises(InvalidInputError):
        ONE_NUMBER[name][0](value)


@pytest.mark.parametrize("value", [0, -1, 2.5, NAN, INF, "5", None, True])
@pytest.mark.parametrize(
    "call",
    [
        plans.code_letter,
        lambda v: characteristics.oc_binomial(0.1, v, 0),
        lambda v: characteristics.oc_hypergeometric(0, v, 1, 0),
        lambda v: design.units_at_quality(v, 5.0, at_least=True),
        lambda v: draw.draw(["a", "b"], "seed", v),
        lambda v: proportions.sample_proportion(v, 0),
        lambda v: variables.oc_s_method(0.1, v, 1.0),
        registers.modulus_of_digits_micro,
        lambda v: montecarlo.propagate(lambda x: x, [Component("x", 0.0, 1.0)], seed=1, draws=v),
        lambda v: laboratories.assigned_value(1.0, 0.1, v),
    ],
)  # fmt: skip
def test_counts_are_whole_and_positive(call, value):
    with pytest.raises(InvalidInputError):
        call(value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mpe_r46(1.0, accuracy_class="Z"), "use one of A, B, C, D"),
        (lambda: mpe_r46(1.0, stage="later"), "use one of initial, in_service"),
        (lambda: mpe_r46(np.nextafter(0.02, 0)), "from i_st = 0.02 to i_max = 60"),
        (lambda: mpe_r46(np.nextafter(60.0, 61)), "no limit for a load of 60 A"),
        (lambda: mpe_r46(1.0, leading=1), "leading must be True or False"),
        (lambda: mpe_r46([1.0, 2.0], marks=MARKS | {"i_min": np.ones(2), "i_tr": np.ones(3)}), "shapes"),
        (lambda: mpe.mpe_pct(HEBEI, "in_service", "1", INF), "no limit for a load of inf"),
        (lambda: mpe.mpe_pct(HEBEI, "in_service", "1", 1.0, outside="skip"), "use one of refuse, nan"),
        (lambda: mpe.mpe_pct(HEBEI, "in_service", "1", 1.0, on=datetime(2021, 1, 1, tzinfo=UTC)), "not a calendar day"),
        (lambda: validity.validity_until(JJG596, "2020-01-01", validity.MeterTraits()), "not a calendar day"),
        (lambda: validity.add_years(date(9995, 1, 1), 8), "beyond the calendar"),
        (lambda: edition_in_force("jjg-596", date(2010, 1, 1)), "no edition of jjg-596 is in force on 2010-01-01"),
        (lambda: running_error.data_shortfalls(HEBEI, 101.0, 300), "from 0 to 100"),
        (lambda: running_error.zone_refusals(JIANGXI, 95.0, -1, 2.0), "data_groups = -1"),
        (lambda: running_error.is_monitorable(JIANGXI, np.ones((2, 20)), 5.0), "one row of days"),
        (lambda: running_error.round_error_pct(HEBEI, INF, "1"), "no running error"),
        (lambda: probability_nonconforming(1.0, 0.5, INF), "mpe_pct = inf is no limit"),
        (lambda: probability_nonconforming(1.0, 0.5, lower_pct=-INF), "give at least one of them"),
        (lambda: probability_nonconforming(1.0, 0.5, lower_pct=INF), "lower_pct = inf is no limit"),
        (lambda: probability_nonconforming(1.0, 0.5, 1.0, prior=NormalPrior(0.0, INF)), "give no prior"),
        (lambda: probability_nonconforming(np.zeros(3), np.ones(2), 1.0), r"error \(3,\), std \(2,\)"),
        (lambda: decide_many(np.array([0.5, 1.5])), "p_nonconforming = 1.5 is no probability"),
        (lambda: decide_many(np.array([0.5, 0.1]), withheld=np.array([0, 1])), "mask of truth values"),
        (lambda: decide_many(np.array([0.5, 0.1]), withheld=np.array([True])), "mask of truth values"),
        (lambda: conformity.outcomes_of(np.array([4], dtype=np.int8)), "names no outcome"),
        (lambda: conformity.outcomes_of(np.array([-1], dtype=np.int8)), "names no outcome"),
        (lambda: acceptance.measurement_capability_index(0.1, -INF, 1.0), "the index needs both"),
        (lambda: acceptance.acceptance_interval(0.2, NAN), "give single numbers"),
        (lambda: bench(expanded=np.array([0.1, 2.0]), limit=np.array([1.0, 1.0])), "guard band = 2 % leaves nothing"),
        (lambda: risks(lower_pct=None, upper_pct=None), "no limit was given"),
        (lambda: laboratories.compare([1.0, 2.0], [1e-9, 1e9], laboratories.weighted_mean([1.0, 2.0], [1e-9, 1e9])),
         "dominates the weighted mean"),
        (lambda: compressibility(METHANE, 293.0, 500.0, equation="ideal"), "use one of aga8-detail, gerg-2008"),
        (lambda: Composition((1.0,)), "instead of 21"),
        (lambda: registers.register_difference_micro([1, 2], [3, 4, 5], 100), "shapes"),
        (lambda: registers.register_difference_micro(1.5, 2, 100), "must be integers"),
        (lambda: registers.multiply_micro(5, 0.1), "not exactly 1/10"),
        (lambda: registers.pulse_weight_micro(NAN), "must be an int or a Fraction"),
        (lambda: plans.single_sampling_plan(500, 1.0, severity="strict"), "use one of normal, tightened, reduced"),
        (lambda: plans.single_sampling_plan(500, 1.0, characteristic="units"), "use one of nonconforming_units"),
        (lambda: plans.code_letter(500, None), "choose one of S-1"),
        (lambda: characteristics.average_sample_number(0.1, 50, 1, "early"), "use one of none, rejection, full"),
        (lambda: characteristics.quality_at_acceptance(0.1, 50, 1, "normal"), "use binomial or poisson"),
        (lambda: switching.lot_result(plans.single_sampling_plan(500, 1.0), NAN), "whole number from 0 to 50"),
        (lambda: draw.draw("E-0001", "seed", 1), "give a list of serials"),
        (lambda: draw.draw([1, 2], "seed", 1), "serial 1 is not a text"),
        (lambda: draw.draw(["1", "2"], 5, 1), "seed 5 is not a text"),
        (lambda: proportions.evaluate_lot(NO_INTERVAL), "is none of a proportion"),
        (lambda: lifetime.lifetime_data([1.0], [5.0], 2.5), "count 2.5"),
        (lambda: degradation.fit_paths([1.5, 1.5], [1.0, 2.0], [0.1, 0.2], 0.1), "whole numbers"),
        (lambda: degradation.proportion_beyond(ALIKE, 1.0, -1, 1, seed=-1), "seed -1"),
        (lambda: Component.from_readings("x", ["a", "b"]), "readings must hold real numbers"),
        (lambda: Component("x", 0.0, 1e300, sensitivity=1e300), "check the units"),
        (lambda: Budget.from_model("y", "", lambda x: 1 / x, [Component("x", 0.0, 1.0)]), "the model fails at"),
        (lambda: montecarlo.propagate(np.log, [Component("x", 0.0, 1.0)], seed=1, draws=10_000), "no finite number"),
        (lambda: montecarlo.propagate(lambda x: x[:5], [Component("x", 0.0, 1.0)], seed=1, draws=10_000), "one number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_remedy(call, words):
    with pytest.raises(InvalidInputError, match=words):
        call()


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float32, np.uint8])
def test_integers_and_float32_give_the_figures_of_float64(dtype):
    loads, errors = np.array([1, 2, 60], dtype=dtype), np.array([0, 1, 3], dtype=dtype)
    assert mpe_r46(loads).tolist() == mpe_r46(loads.astype(np.float64)).tolist() == mpe_r46([1, 2, 60]).tolist()
    expected = probability_nonconforming(errors.astype(np.float64), 1.0, 2.0).tolist()
    assert probability_nonconforming(errors, dtype(1), dtype(2)).tolist() == expected
    assert bench(errors, dtype(1), dtype(2)).tolist() == [0, 0, 2]
    assert gas.base_volume_m3(errors, dtype(250), dtype(100)).dtype == np.float64


def test_empty_arrays_stay_empty():
    none = np.array([])
    assert mpe_r46(none).shape == probability_nonconforming(none, 0.5, 1.0).shape == bench(none).shape == (0,)
    assert risks(mean=none).consumer.shape == gas.base_volume_m3(none, 293.0, 101.0).shape == (0,)
    assert compressibility(METHANE, none, 500.0).shape == characteristics.oc_binomial(none, 5, 1).shape == (0,)


@pytest.mark.parametrize("error", [NAN, INF, -INF, 1e300])
def test_no_estimate_withholds_the_decision(error):
    decision = decide(error, 0.1, 1.0)
    assert (decision.outcome, decision.reasons[0].code) == (Outcome.WITHHELD, "no_estimate")
    assert conformity.outcomes_of(bench(np.array([error, 0.0]))) == (
        [Outcome.WITHHELD, Outcome.CONFORMING] if error != 1e300 else [Outcome.NONCONFORMING, Outcome.CONFORMING]
    )


@pytest.mark.parametrize("std", [1e16, 1e308, INF])
@pytest.mark.parametrize("dof", [None, 3.0, INF])
def test_boundless_uncertainty_leaves_the_prior_or_ignorance(std, dof):
    prior = NormalPrior(0.2, 0.5)
    alone = probability_nonconforming(0.2, 0.5, 1.0)
    found = probability_nonconforming(5.0, std, 1.0, degrees_of_freedom=dof, prior=prior)
    assert found == pytest.approx(alone, rel=1e-9)
    assert decide(5.0, std, 1.0, degrees_of_freedom=dof).outcome is Outcome.INCONCLUSIVE


def test_a_tiny_uncertainty_decides_by_the_error_alone():
    for dof in (None, 1.0, 30.0):
        assert probability_nonconforming(2.0, 1e-320, 1.0, degrees_of_freedom=dof) == 1.0
        assert probability_nonconforming(0.5, 1e-320, 1.0, degrees_of_freedom=dof, prior=NormalPrior(0, 1)) == 0.0
