"""The list of kinds is whole, and every setting is described, bounded and strict."""

import re

import pytest
from pydantic import BaseModel, ValidationError
from step_cases import meter, place

from verifier.facts import max_rate_per_hour, one_meter
from verifier.follower import settings_digest
from verifier.kinds import KINDS, LIGHT_LOAD_KINDS, STEP_KINDS, FindingKind, Severity, severity_of
from verifier.settings import (
    ElectricityLimits,
    FollowerSettings,
    GasLimits,
    StepSettings,
    VerifierSettings,
    WaterLimits,
)

OWN_SECTIONS = [ElectricityLimits, WaterLimits, GasLimits, StepSettings, FollowerSettings, VerifierSettings]


def test_every_kind_has_titles_and_a_severity():
    assert set(KINDS) == set(FindingKind)
    for info in KINDS.values():
        assert info.title_en
        assert re.search(r"[\u4e00-\u9fff]", info.title_zh)
        assert (info.raised_to is None) == (info.raised_when == "")
    assert len({info.title_zh for info in KINDS.values()}) == len(KINDS)


def test_delivery_and_balance_kinds_are_not_worked_out_from_steps():
    others = {
        FindingKind.DUPLICATE,
        FindingKind.CLOCK_IN_FUTURE,
        FindingKind.ERROR_BEYOND_MPE,
        FindingKind.ZONE_IMBALANCE,
        *LIGHT_LOAD_KINDS,
    }
    assert set(STEP_KINDS) == set(FindingKind) - others


def test_severity_rises_only_where_the_kind_says_so():
    assert severity_of(FindingKind.RESET) is Severity.INFO
    assert severity_of(FindingKind.RESET, raised=True) is Severity.WARNING
    assert severity_of(FindingKind.GAP, raised=True) is Severity.INFO


@pytest.mark.parametrize("section", OWN_SECTIONS)
def test_every_setting_is_described_and_names_its_unit(section: type[BaseModel]):
    for name, field in section.model_fields.items():
        assert field.description, name
        if name.endswith("_s"):
            assert "[s]" in field.description, name
        if name.endswith(("_kw", "_kwh", "_m3", "_m3ph")):
            assert re.search(r"\[(kW|kWh|m3|m3/h)\]", field.description), name


@pytest.mark.parametrize(
    "wrong",
    [{"steps": {"gap_s": 0}}, {"steps": {"gap": 5}}, {"water": {"stopped_s": -1}}, {"max_rate_by_meter": {"u/1": 0}}],
)
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(ValidationError):
        VerifierSettings.model_validate(wrong)


def test_the_digest_tells_what_conclusions_depend_on():
    digest, body = settings_digest(VerifierSettings())
    assert settings_digest(VerifierSettings(follower=FollowerSettings(poll_s=9.0))) == (digest, body)
    assert settings_digest(VerifierSettings(steps=StepSettings(gap_s=1.0)))[0] != digest


def test_a_state_is_stale_when_anything_behind_it_changed():
    base = one_meter(meter(), VerifierSettings()).meter[-1]
    changed = [
        one_meter(meter(resolution_micro=10), VerifierSettings()),
        one_meter(meter(register_modulus_micro=10**9), VerifierSettings()),
        one_meter(meter(installations=[place(multiplier=2.0)]), VerifierSettings()),
        one_meter(meter(installations=[place(predecessor_serial="X")]), VerifierSettings()),
        one_meter(meter(), VerifierSettings(steps=StepSettings(gap_s=1.0))),
        one_meter(meter(), VerifierSettings(water=WaterLimits(stopped_s=1.0))),
    ]
    assert len({base, *(one.meter[-1] for one in changed)}) == len(changed) + 1
    assert one_meter(meter(), VerifierSettings(gas=GasLimits(stopped_s=1.0))).meter[-1] == base


def test_a_reference_meter_may_run_faster():
    settings = VerifierSettings()
    for medium, customer, reference in (("electricity", 100, 10_000), ("water", 20, 2_000), ("gas", 40, 5_000)):
        record = meter(medium=medium)
        assert max_rate_per_hour(record, "customer", settings) == customer
        assert max_rate_per_hour(record, "reference", settings) == reference
