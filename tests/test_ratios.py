"""A paired ratio is its closed form."""

import numpy as np
import pytest

from embedding_geometry.statistics.ratios import PairedRatio, paired_ratio


def test_a_ratio_is_its_closed_form_and_refuses_what_has_no_logarithm():
    control = np.array([1.0, 10.0, 100.0, 1000.0])
    found = paired_ratio(control * [0.5, 2.0, 0.5, 0.5], control, 0)
    assert found.ratio == pytest.approx(0.5**0.5)
    assert paired_ratio(control, control, 0) == PairedRatio(4, 1.0, (1.0, 1.0), 1.0)
    with pytest.raises(ValueError, match="1 of the treatment and 0 of the control are not"):
        paired_ratio([0.0, 1.0], [1.0, 1.0], 0)
