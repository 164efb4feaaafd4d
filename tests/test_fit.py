import numpy as np
import pytest
import torch
from torch import nn

from embedding_geometry.pocket import fit as fit_module
from embedding_geometry.pocket.fit import Place, Plan, fit

PLAN = Plan(steps=300, batch=32, rate=3e-2, warmup=10, average=0.9)
TRUTH = torch.tensor([[2.0, -1.0, 0.5]])


class _Regression(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x, y):
        return (self.linear(x) - y).square().mean()


def _draw(rng, count):
    x = torch.from_numpy(rng.standard_normal((count, 3), np.float32))
    return x, x @ TRUTH.T


def _new(folder):
    folder.mkdir()
    return folder


def test_a_planted_weight_is_found(tmp_path) -> None:
    trained = fit("line", _Regression(), _draw, PLAN, Place(tmp_path))
    torch.testing.assert_close(trained.linear.weight.detach(), TRUTH, atol=1e-2, rtol=0)


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path) -> None:
    whole = fit("line", _Regression(), _draw, PLAN, Place(_new(tmp_path / "a")), 0.0)

    def failing(rng, count, calls=[0]):  # noqa: B006 - the default counts the calls
        calls[0] += 1
        if calls[0] == 150:
            raise KeyboardInterrupt
        return _draw(rng, count)

    _new(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        fit("line", _Regression(), failing, PLAN, Place(tmp_path / "b"), 0.0)
    resumed = fit("line", _Regression(), _draw, PLAN, Place(tmp_path / "b"), 0.0)
    torch.testing.assert_close(resumed.linear.weight, whole.linear.weight, atol=0, rtol=0)


def test_a_kill_while_writing_leaves_the_old_checkpoint(tmp_path, monkeypatch) -> None:
    fit("line", _Regression(), _draw, PLAN, Place(tmp_path))
    before = (tmp_path / "line.safetensors").read_bytes()

    def die(tensors, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(fit_module, "save_file", die)
    longer = Plan(steps=310, batch=32, rate=3e-2, warmup=10)
    with pytest.raises(OSError, match="disk full"):
        fit("line", _Regression(), _draw, longer, Place(tmp_path))
    assert (tmp_path / "line.safetensors").read_bytes() == before


def test_the_rate_warms_up_holds_and_falls_to_zero() -> None:
    plan = Plan(steps=1000, batch=1, rate=1.0, warmup=10, hold=0.5)
    rates = [plan.rate_at(s) for s in range(1000)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:500] == [1.0] * 490
    assert rates[750] == pytest.approx(0.5, abs=1e-2)
    assert rates[-1] < 1e-4
