"""What stands for a value that several modules take."""

import pytest

from embedding_geometry.ground.types import check_seed


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_a_seed_that_every_generator_takes_is_accepted(seed):
    check_seed(seed)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_some_generator_refuses_is_named(seed):
    with pytest.raises(ValueError, match=f"seed is {seed}; use 0, 1, 2 "):
        check_seed(seed)
