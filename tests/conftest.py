"""Check the shapes in the signatures while the tests run, and share one tiny random model."""

from dataclasses import replace

from jaxtyping import install_import_hook

# before the package is imported for the first time: its annotations become assertions
install_import_hook("embedding_geometry", "beartype.beartype")

import embedding_geometry  # noqa: E402, F401 - before torch: it says how threads wait

# isort: split
import pytest  # noqa: E402

# A file is run by one process. These take longest, so they are begun first: the last to begin
# would have all other processes wait.
LONGEST = ("test_other_models.py", "test_cluster.py", "test_wheel.py")


def pytest_addoption(parser):
    parser.addoption(
        "--require-book",
        action="store_true",
        help="fail, instead of skip, where the book is not built or there is no browser",
    )


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)


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
    from embedding_geometry.diffusion.loading import load_model

    return load_model(str(tiny_folder), device="cpu")


@pytest.fixture(scope="session")
def tiny_metric(tmp_path_factory):
    """Return LPIPS around a random SqueezeNet, which it finds in torchvision's cache."""
    from tiny_model import write_backbone

    from embedding_geometry.perception.weights import load_metric

    home = tmp_path_factory.mktemp("torch_home")
    write_backbone(home / "hub/checkpoints")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        return load_metric("squeeze", device="cpu")


@pytest.fixture(scope="session")
def alex():
    """Return LPIPS with AlexNet, loaded once."""
    from embedding_geometry.perception.weights import load_metric

    return load_metric("alex", device="cpu")


@pytest.fixture
def loaded_once(alex, monkeypatch):
    """Have studies and commands take that one for their own, and load all others."""
    from embedding_geometry.perception import weights
    from embedding_geometry.study import cells

    def load_metric(net="alex", device=None):
        return replace(alex) if net == "alex" else found(net, device)

    found = weights.load_metric
    for module in (weights, cells):
        monkeypatch.setattr(module, "load_metric", load_metric)


@pytest.fixture
def tf32():
    """Ask torch for TF32 everywhere, in its old words and its new one."""
    import torch

    backends = torch.backends.cudnn, torch.backends.cuda.matmul
    for backend in backends:
        backend.allow_tf32 = True
    torch.backends.fp32_precision = "tf32"
    yield
    torch.backends.fp32_precision = "none"
    torch.backends.cudnn.allow_tf32 = False  # as models and metrics leave it
    torch.backends.cuda.matmul.allow_tf32 = False
