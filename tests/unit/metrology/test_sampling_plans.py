"""ISO 2859-1 plans against the public ancestor of its tables, and against the operating characteristic they imply.

Oracles: Tables I, II-A and II-B of MIL-STD-105E (public domain), transcribed here by columns and independently of the
data file: normal and tightened plans agree with ISO's cell by cell. ISO's reduced plans differ from II-C (no gap
between Ac and Re); they are checked against what can be known: the sample sizes, the plans with Ac = 0, that Ac lies
within II-C's gap, and the operating characteristic.
"""

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.sampling.characteristics import oc_binomial, oc_poisson, quality_at_acceptance
from metrology.sampling.plans import aql_series, code_letter, plan_for_code_letter, single_sampling_plan
from metrology.sampling.tables import InspectionLevel, Severity, iso_2859_tables, parse_tables

LETTERS = "ABCDEFGHJKLMNPQR"
SIZES = dict(zip(LETTERS, (2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800, 1250, 2000), strict=True)) | {
    "S": 3150
}

# MIL-STD-105E, II-A: by AQL the plans of its column from the top, as letter and acceptance number.
NORMAL = {
    0.010: "Q0",
    0.015: "P0",
    0.025: "N0 R1",
    0.040: "M0 Q1 R2",
    0.065: "L0 P1 Q2 R3",
    0.10: "K0 N1 P2 Q3 R5",
    0.15: "J0 M1 N2 P3 Q5 R7",
    0.25: "H0 L1 M2 N3 P5 Q7 R10",
    0.40: "G0 K1 L2 M3 N5 P7 Q10 R14",
    0.65: "F0 J1 K2 L3 M5 N7 P10 Q14 R21",
    1.0: "E0 H1 J2 K3 L5 M7 N10 P14 Q21",
    1.5: "D0 G1 H2 J3 K5 L7 M10 N14 P21",
    2.5: "C0 F1 G2 H3 J5 K7 L10 M14 N21",
    4.0: "B0 E1 F2 G3 H5 J7 K10 L14 M21",
    6.5: "A0 D1 E2 F3 G5 H7 J10 K14 L21",
    10: "C1 D2 E3 F5 G7 H10 J14 K21",
    15: "B1 C2 D3 E5 F7 G10 H14 J21",
    25: "A1 B2 C3 D5 E7 F10 G14 H21",
    40: "A2 B3 C5 D7 E10 F14 G21",
    65: "A3 B5 C7 D10 E14 F21",
    100: "A5 B7 C10 D14 E21",
    150: "A7 B10 C14 D21 E30",
    250: "A10 B14 C21 D30 E44",
    400: "A14 B21 C30 D44",
    650: "A21 B30 C44",
    1000: "A30 B44",
}
# MIL-STD-105E, II-B.
TIGHTENED = {
    0.010: "R0",
    0.015: "Q0",
    0.025: "P0 S1",
    0.040: "N0 R1",
    0.065: "M0 Q1 R2",
    0.10: "L0 P1 Q2 R3",
    0.15: "K0 N1 P2 Q3 R5",
    0.25: "J0 M1 N2 P3 Q5 R8",
    0.40: "H0 L1 M2 N3 P5 Q8 R12",
    0.65: "G0 K1 L2 M3 N5 P8 Q12 R18",
    1.0: "F0 J1 K2 L3 M5 N8 P12 Q18",
    1.5: "E0 H1 J2 K3 L5 M8 N12 P18",
    2.5: "D0 G1 H2 J3 K5 L8 M12 N18",
    4.0: "C0 F1 G2 H3 J5 K8 L12 M18",
    6.5: "B0 E1 F2 G3 H5 J8 K12 L18",
    10: "D1 E2 F3 G5 H8 J12 K18",
    15: "C1 D2 E3 F5 G8 H12 J18",
    25: "B1 C2 D3 E5 F8 G12 H18",
    40: "A1 B2 C3 D5 E8 F12 G18",
    65: "A2 B3 C5 D8 E12 F18",
    100: "A3 B5 C8 D12 E18",
    150: "A5 B8 C12 D18 E27",
    250: "A8 B12 C18 D27 E41",
    400: "A12 B18 C27 D41",
    650: "A18 B27 C41",
    1000: "A27 B41",
}
# MIL-STD-105E, II-C, AQL 1.0: letter, sample size, Ac, Re. ISO has one number where these leave a gap.
REDUCED_105E_AQL_1 = [
    ("J", 32, 1, 3),
    ("K", 50, 1, 4),
    ("L", 80, 2, 5),
    ("M", 125, 3, 6),
    ("N", 200, 5, 8),
    ("P", 315, 7, 10),
    ("Q", 500, 10, 13),
]


def _column(text):
    return {item[0]: int(item[1:]) for item in text.split()}


def _expected(column, letter, severity):
    """The plan that a letter leads to, by the rules printed beside the published tables."""
    if letter in column:
        return letter
    rows = LETTERS + "S"
    above = [row for row in column if rows.index(row) < rows.index(letter)]
    below = [row for row in column if rows.index(row) > rows.index(letter)]
    if not below or not above:
        return above[-1] if above else below[0]
    # Between Ac 0 and Ac 1: on normal inspection the first arrow points up, all others down.
    up = severity is Severity.NORMAL and rows.index(letter) == rows.index(above[-1]) + 1
    return above[-1] if up else below[0]


@pytest.mark.parametrize(("severity", "published"), [(Severity.NORMAL, NORMAL), (Severity.TIGHTENED, TIGHTENED)])
def test_every_cell_is_that_of_the_published_master_table(severity, published):
    assert tuple(published) == aql_series(severity)
    for aql, text in published.items():
        column = _column(text)
        for letter in LETTERS:
            plan = plan_for_code_letter(letter, aql, severity, "nonconformities")
            end = _expected(column, letter, severity)
            found = (plan.code_letter, plan.sample_size, plan.acceptance_number, plan.rejection_number)
            assert found == (end, SIZES[end], column[end], column[end] + 1), (aql, letter)
            assert plan.confidence == "A"


def test_reduced_plans_keep_the_sizes_and_lie_in_the_gap_of_the_ancestor():
    assert aql_series(Severity.REDUCED) == aql_series()[:16]
    for letter, size, accept, reject in REDUCED_105E_AQL_1:
        plan = plan_for_code_letter(letter, 1.0, Severity.REDUCED)
        assert plan.sample_size == size
        assert accept <= plan.acceptance_number < reject
        assert plan.rejection_number == plan.acceptance_number + 1
        assert plan.confidence == "B"
    for aql, text in NORMAL.items():  # a plan with Ac = 0 has two fifths of normal's sample, at the same letter
        zero = next((item[0] for item in text.split() if item[1:] == "0"), None)
        if zero and aql <= 10:
            plan = plan_for_code_letter(zero, aql, Severity.REDUCED)
            assert (plan.code_letter, plan.acceptance_number) == (zero, 0)
            assert plan.sample_size == pytest.approx(0.4 * SIZES[zero], rel=0.02, abs=1.2)


def test_the_quality_that_still_passes_grows_from_tightened_to_normal_to_reduced():
    for aql in aql_series(Severity.REDUCED):
        for letter in LETTERS:
            reduced, normal = (plan_for_code_letter(letter, aql, s) for s in (Severity.REDUCED, Severity.NORMAL))
            tightened = plan_for_code_letter(letter, aql, Severity.TIGHTENED)
            consumers = [
                float(quality_at_acceptance(0.10, plan.sample_size, plan.acceptance_number, "poisson"))
                for plan in (tightened, normal, reduced)
            ]
            assert consumers == sorted(consumers), (aql, letter, consumers)


def test_least_certain_cells_say_so():
    assert single_sampling_plan(20, 10, severity=Severity.REDUCED).confidence == "C"
    assert single_sampling_plan(20, 1.0, severity=Severity.REDUCED).confidence == "B"


def test_operating_characteristic_at_the_aql_is_high_on_normal_inspection():
    """ISO 2859-1's design: P(accept at AQL) between 0.87 (Ac 0) and 0.99 on normal inspection (Poisson)."""
    for aql in aql_series():
        for letter in LETTERS:
            plan = plan_for_code_letter(letter, aql, characteristic="nonconformities")
            accepted = float(oc_poisson(aql / 100, plan.sample_size, plan.acceptance_number))
            assert 0.865 < accepted < 0.9999, (aql, letter, accepted)


def test_limiting_quality_of_the_published_table():
    """MIL-STD-105E Table VI-A (quality accepted with 10 %, percent nonconforming), column AQL 1.0."""
    published = {"E": 16, "H": 7.6, "J": 6.5, "K": 5.4, "L": 4.6, "M": 3.7, "N": 3.1}
    for letter, limiting in published.items():
        plan = plan_for_code_letter(letter, 1.0)
        model = "binomial" if plan.sample_size <= 80 else "poisson"
        found = 100 * float(quality_at_acceptance(0.10, plan.sample_size, plan.acceptance_number, model))
        assert found == pytest.approx(limiting, abs=0.5 if limiting > 10 else 0.06), letter


@pytest.mark.parametrize(
    ("level", "row"),
    [
        ("S-1", "AAAABBBBCCCCDDD"),
        ("S-2", "AAABBBCCCDDDEEE"),
        ("S-3", "AABBCCDDEEFFGGH"),
        ("S-4", "AABCCDEEFGGHJJK"),
        ("I", "AABCCDEFGHJKLMN"),
        ("II", "ABCDEFGHJKLMNPQ"),
        ("III", "BCDEFGHJKLMNPQR"),
    ],
)
def test_code_letters_at_both_ends_of_every_lot_range(level, row):
    """MIL-STD-105E Table I, the same in ISO 2859-1."""
    ends = [8, 15, 25, 50, 90, 150, 280, 500, 1200, 3200, 10000, 35000, 150000, 500000]
    starts = [2, *(end + 1 for end in ends)]
    for start, end, letter in zip(starts, [*ends, 10**9], row, strict=True):
        assert code_letter(start, level) == letter
        assert code_letter(end, level) == letter


def test_lot_smaller_than_its_sample_is_inspected_whole():
    plan = single_sampling_plan(10, 0.65)  # letter B, arrow to F: 20 units
    assert plan.full_inspection
    assert (plan.initial_code_letter, plan.code_letter) == ("B", "F")
    assert (plan.sample_size, plan.acceptance_number) == (10, 0)
    assert not single_sampling_plan(21, 0.65).full_inspection
    assert single_sampling_plan(20, 0.65).full_inspection  # exactly the lot


def test_acceptance_at_both_sides_of_the_numbers():
    plan = single_sampling_plan(5000, 1.0)
    assert (plan.sample_size, plan.acceptance_number, plan.rejection_number) == (200, 5, 6)
    assert plan.accepts(5)
    assert not plan.accepts(6)
    with pytest.raises(InvalidInputError, match="must be a whole number from 0 to 200"):
        plan.accepts(201)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: single_sampling_plan(1, 1.0), "begin at 2"),
        (lambda: single_sampling_plan(100, 1.1), r"AQL 1\.1 is not .* 1, 1\.5"),
        (lambda: single_sampling_plan(100, 1.0, level="IV"), "S-1, S-2"),
        (lambda: single_sampling_plan(100, 15), "per 100 units"),
        (lambda: single_sampling_plan(100, 15, severity=Severity.REDUCED, characteristic="nonconformities"), "reduced"),
        (lambda: plan_for_code_letter("I", 1.0), "code letter 'I'"),
        (lambda: single_sampling_plan(100, float("nan")), "nan is not"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_choices(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_a_broken_data_file_is_refused():
    text = resources.files("metrology.sampling").joinpath("data/iso_2859_1.toml").read_text(encoding="utf-8")
    assert parse_tables(text) == iso_2859_tables()
    row = next(line for line in text.splitlines() if line.startswith("R = ") and "44" not in line and "21" in line)
    for broken, message in [
        (text.replace(row, row.replace("^", "v", 1)), "lead nowhere"),
        (text.replace(row, row.replace("21", "", 1)), "row R needs"),
        (text.replace(row, row.replace("21", "2x", 1)), "row R needs"),
        (text.replace("lot_size_max = [8, ", "lot_size_max = ["), "lot size range"),
        (text + "[", "restore"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            parse_tables(broken)


@given(
    lot=st.integers(2, 10**6),
    level=st.sampled_from(list(InspectionLevel)),
    aql=st.sampled_from(aql_series(Severity.REDUCED)),
    severity=st.sampled_from(list(Severity)),
)
def test_any_lot_gets_a_plan_that_can_be_carried_out(lot, level, aql, severity):
    plan = single_sampling_plan(lot, aql, level, severity)
    assert 1 <= plan.sample_size <= lot
    assert plan.full_inspection == (plan.sample_size == lot)
    if not plan.full_inspection:
        assert plan.acceptance_number < plan.sample_size
        assert float(oc_binomial(aql / 100, plan.sample_size, plan.acceptance_number)) > 0.78
