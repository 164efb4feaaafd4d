"""A judge says how sure it is, and is asked by a study by its name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from embedding_geometry.ground.plugins import Plugin
from embedding_geometry.pocket import judging
from embedding_geometry.pocket.evaluate import JUDGE, untrained_judge
from embedding_geometry.pocket.recipes import MENAGERIE
from embedding_geometry.study.recorded import with_judge_there
from embedding_geometry.study.settings import StudySettings

NAME = "embedding_geometry.pocket.judging:menagerie"


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A run folder whose judge is random."""
    monkeypatch.chdir(tmp_path)
    judging.load_judge.cache_clear()
    torch.manual_seed(0)
    judge = untrained_judge(MENAGERIE).eval()
    (tmp_path / "runs/menagerie").mkdir(parents=True)
    save_file(judge.state_dict(), tmp_path / "runs/menagerie" / JUDGE)
    yield judge
    judging.load_judge.cache_clear()


def test_confidence_is_the_mean_of_the_largest_probabilities(trained):
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    confidence = Plugin.of(NAME).function(frames)
    for frame, found in zip(frames, confidence, strict=True):
        image = torch.tensor(frame / 127.5 - 1).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            species, ground, _ = trained.outputs(image)
        largest = [float(torch.exp(o[0] - o[0].logsumexp(0)).max()) for o in (species, ground)]
        assert found == pytest.approx(np.mean(largest), abs=1e-5)


def test_a_judge_that_is_not_trained_is_one_error_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    judging.load_judge.cache_clear()
    with pytest.raises(FileNotFoundError, match="evaluate --recipe menagerie. trains it"):
        judging.menagerie.function(np.zeros((1, 64, 64, 3), np.uint8))


def test_a_study_goes_without_a_judge_that_has_not_been_trained_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    judging.load_judge.cache_clear()
    study = StudySettings("pairs.csv", nets_beside=["vgg"], reference="others.csv", judge=NAME)
    with pytest.warns(UserWarning, match=r"without its judge: no judge at .*--recipe menagerie"):
        left = with_judge_there(study)
    assert left == replace(study, judge=None)
    assert with_judge_there(left) is left
    there = replace(study, judge="bright", own={"bright": lambda frames: frames.mean((1, 2, 3))})
    assert with_judge_there(there) is there
