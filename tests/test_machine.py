"""The machine and the libraries are named."""

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from embedding_geometry.ground.machine import cpu_name, library_versions


def test_versions_are_those_of_the_installed_libraries():
    assert library_versions("numpy") == {"numpy": np.__version__}
    with pytest.raises(PackageNotFoundError):
        library_versions("no-such-library")


def test_the_processor_has_a_name():
    assert cpu_name().strip() == cpu_name() != ""
