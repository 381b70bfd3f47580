import numpy as np
import pytest

from metrology.status import KNOWN_BITS, TITLES, ReadingStatus, flag_names, flag_titles, has_flag, parse_flags


def test_every_flag_is_one_bit_of_a_non_negative_int16_and_has_a_title():
    flags = [flag for flag in ReadingStatus if flag]
    assert set(flags) == set(TITLES)
    assert all(int(flag).bit_count() == 1 and flag <= np.iinfo(np.int16).max for flag in flags)
    assert np.iinfo(np.int16).max == KNOWN_BITS


@pytest.mark.parametrize("status", [0, 1, 5, 0b1010_0000_0001, KNOWN_BITS])
def test_names_and_set_are_each_others_inverse(status):
    assert int(parse_flags(",".join(flag_names(status)))) == status
    assert len(flag_titles(status)) == status.bit_count()


def test_unknown_name_is_refused_with_the_valid_ones():
    with pytest.raises(ValueError, match="'tampre' is unknown; use tamper, battery"):
        parse_flags("battery tampre")


def test_has_flag_is_true_for_any_of_the_flags():
    status = np.array([0, 1, 2, 3, 4], dtype=np.int16)
    got = has_flag(status, ReadingStatus.TAMPER | ReadingStatus.BATTERY)
    assert got.tolist() == [False, True, True, True, False]
