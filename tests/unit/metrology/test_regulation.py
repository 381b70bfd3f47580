"""Regulations load, are found, and a data file that is wrong is refused with file, key, value and remedy."""

from datetime import date
from importlib import resources

import pytest

from metrology.errors import InvalidInputError, NotFoundError
from metrology.regulation import (
    edition_in_force,
    find_rule,
    get_regulation,
    is_in_force,
    load_regulations,
    parse_regulation,
    rule_value,
)
from metrology.regulation_schema import RULES, entries

TEXT = resources.files("metrology").joinpath("regulations", "jjg-577-2012.toml").read_text(encoding="utf-8")


def test_the_regulations_asked_for_are_there():
    families = {r.family for r in load_regulations()}
    assert {"oiml-r46", "oiml-r49", "oiml-r137", "jjg-596", "jjg-162", "jjg-577"} < families
    assert {"jjf-hebei-174", "jjf-anhui-111", "jjf-jiangxi-017", "jjf-yunnan-21"} < families
    assert {r.id for r in load_regulations() if r.family == "jjg-596"} == {"jjg-596-2012", "jjg-596-2026"}


@pytest.mark.parametrize("regulation", load_regulations(), ids=lambda r: r.id)
def test_every_figure_is_cited_and_the_file_bears_the_id(regulation):
    assert entries(regulation)
    for entry in entries(regulation):
        assert entry.clause
        assert entry.confidence in ("A", "B", "C")
        assert regulation.sources[entry.source]
    assert resources.files("metrology").joinpath("regulations", f"{regulation.id}.toml").is_file()


@pytest.mark.parametrize(
    ("found", "wrong", "words"),
    [
        ('confidence = "B"', 'confidence = "D"', ["confidence holds 'D'", "regulation_schema"]),
        ("years = 10", 'years = "ten"', ["validity[0].years holds 'ten'"]),
        ('upper = "q_t"', 'uper = "q_t"', ["unknown field `uper`", "limits[0]"]),
        ('upper = "q_t"', 'upper = "q_3"', ["'q_3'", "q_min, q_t, q_max"]),
        ('lower = "q_t"', 'lower = "0.2 q_max"', ["initial-upper.lower", "'q_t'"]),
        ("upper_included = true", "upper_included = false", ["initial-upper.upper_included"]),
        ('{ "1" = 2.0, "1.5" = 3.0 }', '{ "1" = -2.0, "1.5" = 3.0 }', ["initial-lower.mpe_pct", "-2.0", "positive"]),
        ('source = "county"', 'source = "hearsay"', ["natural-gas.source 'hearsay'", "[sources]"]),
        ('name = "q_t_over_q_max"', 'name = "q_t_over_q"', ["'q_t_over_q'", "q2_over_q1"]),
        ('id = "q_max"', 'id = "q_min"', ["'q_min' stands twice"]),
        ('media = ["gas"]', 'media = ["steam"]', ["media[0] holds 'steam'"]),
        ('media = ["gas"]', "media = []", ["media is empty"]),
        ("start = 2013-03-03", "start = 2013-03-03\nend = 2013-03-03", ["effect.end"]),
        ("start = 2013-03-03", "start = 2013-33-03", ["not valid TOML"]),
        ('clause = "Definition of q_t (clause number not confirmed)"', 'clause = " "', ["clause is empty"]),
        ("value = 0.1", "", ["q_t_over_q_max needs either value or by_class"]),
    ],
)
def test_a_wrong_data_file_is_refused_with_file_key_value_and_remedy(found, wrong, words):
    assert found in TEXT
    with pytest.raises(InvalidInputError) as refusal:
        parse_regulation(TEXT.replace(found, wrong, 1), "broken.toml")
    for word in ["broken.toml", *words]:
        assert word in str(refusal.value)


def test_the_unchanged_file_loads():
    assert parse_regulation(TEXT, "jjg-577-2012.toml") == get_regulation("jjg-577-2012")


def test_an_unknown_id_is_refused_with_the_valid_ones():
    with pytest.raises(NotFoundError, match=r"'jjg-1'.*jjg-162-2019, jjg-577-2012"):
        get_regulation("jjg-1")


def test_editions_follow_each_other_without_gap():
    assert edition_in_force("jjg-596", date(2026, 6, 30)).id == "jjg-596-2012"
    assert edition_in_force("jjg-596", date(2026, 7, 1)).id == "jjg-596-2026"
    with pytest.raises(InvalidInputError, match="jjg-596-2012 from 2013-04-08"):
        edition_in_force("jjg-596", date(2013, 4, 7))
    with pytest.raises(NotFoundError, match="jjg-577"):
        edition_in_force("jjg-9", date(2020, 1, 1))


def test_an_edition_without_a_known_day_is_not_in_force_before_its_year():
    yunnan = get_regulation("jjf-yunnan-21-2022")
    assert not is_in_force(yunnan, date(2021, 12, 31))
    assert is_in_force(yunnan, date(2023, 1, 1))


@pytest.mark.parametrize(
    ("regulation_id", "name", "accuracy_class", "expected"),
    [
        ("jjf-hebei-174-2020", "collection_success_pct_min", None, 99),
        ("jjf-hebei-174-2020", "data_groups_min", None, 300),
        ("jjf-yunnan-21-2022", "collection_success_pct_min", None, 99),
        ("jjf-yunnan-21-2022", "data_groups_min", None, 300),
        ("jjf-hebei-174-2020", "fly_ratio_max", None, 1),
        ("jjf-hebei-174-2020", "reverse_daily_energy_kwh", None, 0),
        ("jjf-hebei-174-2020", "stopped_current_a", None, 0.1),
        ("jjf-hebei-174-2020", "rounding_interval_pct", "1", 0.1),
        ("jjf-hebei-174-2020", "rounding_interval_pct", "2", 0.2),
        ("jjf-jiangxi-017-2020", "zone_collection_success_pct_min", None, 90),
        ("jjf-jiangxi-017-2020", "zone_monthly_loss_pct_max", None, 10),
        ("jjf-jiangxi-017-2020", "zone_monthly_loss_pct_min", None, 0),
        ("jjf-jiangxi-017-2020", "daily_mean_current_ratio_min", None, 0.1),
        ("jjf-jiangxi-017-2020", "consecutive_days_min", None, 30),
        ("jjf-jiangxi-017-2020", "monitoring_cycle_days_max", None, 7),
        ("jjf-jiangxi-017-2020", "data_kept_years_min", None, 4),
        ("oiml-r49-2013", "q2_over_q1", None, 1.6),
        ("oiml-r49-2013", "q4_over_q3", None, 1.25),
        ("jjg-162-2019", "q2_over_q1", None, 1.6),
        ("jjg-162-2019", "q4_over_q3", None, 1.25),
        ("jjg-577-2012", "q_t_over_q_max", None, 0.1),
        ("jjf-jiangxi-017-2020", "zone_data_groups_min", None, 300),
        ("jjf-jiangxi-017-2020", "platform_check_years_max", None, 2),
    ],
)
def test_single_figures(regulation_id, name, accuracy_class, expected):
    assert rule_value(get_regulation(regulation_id), name, accuracy_class) == expected


def test_the_master_meters_classes_of_anhui():
    anhui = get_regulation("jjf-anhui-111-2021")
    assert find_rule(anhui, "reference_meter_class").by_class == {"1": "0.5S", "2": "1"}
    assert find_rule(anhui, "reference_transformer_class").by_class == {"1": "0.2S", "2": "0.5S"}
    assert find_rule(anhui, "reference_meter_class").confidence == "C"


def test_a_rule_that_is_not_stated_or_of_another_class_is_refused():
    with pytest.raises(NotFoundError, match="it states: collection_success_pct_min"):
        rule_value(get_regulation("jjf-yunnan-21-2022"), "fly_ratio_max")
    with pytest.raises(InvalidInputError, match=r"None is not one of 1, 2"):
        rule_value(get_regulation("jjf-hebei-174-2020"), "rounding_interval_pct")


def test_every_name_of_a_rule_is_used():
    assert {rule.name for r in load_regulations() for rule in r.rules} == set(RULES)
