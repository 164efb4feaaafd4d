"""Check the shapes in the signatures while the tests run, and share one tiny random model."""

from jaxtyping import install_import_hook

# before the package is imported for the first time: its annotations become assertions
install_import_hook("embedding_geometry", "beartype.beartype")

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """Return a diffusers folder with random weights; read only."""
    from tiny_model import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_model(tiny_folder):
    """Return the tiny model loaded in float32 on the CPU."""
    from embedding_geometry.models import load_model

    return load_model(str(tiny_folder), device="cpu")


@pytest.fixture(scope="session")
def tiny_metric(tiny_folder):
    """Return LPIPS around the tiny model's random backbone."""
    from embedding_geometry.perception import load_metric

    return load_metric("pocket", device="cpu", folder=tiny_folder / "perceptual")
