"""Check the shapes in the signatures while the tests run, and share one tiny random model."""

from jaxtyping import install_import_hook

# before the package is imported for the first time: its annotations become assertions
install_import_hook("embedding_geometry", "beartype.beartype")

import pytest  # noqa: E402


def pytest_addoption(parser):
    parser.addoption(
        "--require-book",
        action="store_true",
        help="fail, instead of skip, where the book is not built or there is no browser",
    )


@pytest.fixture(scope="session")
def absent(request):
    """Return what ends a test of the built book that lacks something: a failure or a skip."""
    return pytest.fail if request.config.getoption("--require-book") else pytest.skip


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


@pytest.fixture
def tf32():
    """Allow TF32, as torch does for convolutions, and put back what was allowed before."""
    import torch

    backends = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = True
    yield
    for backend, allowed in zip(backends, before, strict=True):
        backend.allow_tf32 = allowed
