"""A study's cells against the loops one would write with plain diffusers and lpips, in one run.

The study's time includes encoding the texts and the couplings, the opponents' time does not.
"""

from dataclasses import replace
from statistics import median

import numpy as np
import pandas as pd
import pytest
from opponents import Opponent, Result, study_cells

from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.places import POCKET_FOLDER
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.study.cells import Bench, prepare_bench
from embedding_geometry.study.settings import StudySettings

# the images of a latent, 2 + 3 · 15, fit into one batch
SETTINGS = StudySettings(
    POCKET_FOLDER,
    frames=17,
    loading=LoadSettings("pocket", "cpu"),
    rendering=RenderSettings(batch_size=48),
)
FASTER_THAN_FRAME_BY_FRAME, FASTER_THAN_BATCH_BY_BATCH = 3.0, 1.25
DEFAULT_BATCH = RenderSettings().batch_size
ROUNDS = 5
# the package asks torchvision for its backbone in words that are out of use
pytestmark = pytest.mark.filterwarnings("ignore:.*pretrained", "ignore:.*weight enum")


@pytest.fixture(scope="module")
def bench() -> Bench:
    settings = replace(SETTINGS, extra_couplings_first_seed=())
    return prepare_bench(settings)


def check_same(found: Result, expected: Result) -> float:
    """Frames differ by rounding only; returns the share of bytes that are not the same."""
    differences = [
        np.abs(theirs.astype(int) - ours)
        for theirs, ours in zip(expected.frames, found.frames, strict=True)
    ]
    assert max(difference.max() for difference in differences) <= 1
    np.testing.assert_allclose(found.lengths, expected.lengths, rtol=1e-2)
    return float(np.mean([difference > 0 for difference in differences]))


def test_cells_against_frame_by_frame_and_batch_by_batch(bench: Bench, record) -> None:
    opponent = Opponent(bench, POCKET_FOLDER)
    small = replace(bench, rendering=replace(bench.rendering, batch_size=DEFAULT_BATCH))
    contenders = {
        "study": lambda: study_cells(bench),
        f"study, batches of {DEFAULT_BATCH}": lambda: study_cells(small),
        "batch by batch": opponent.batch_by_batch,
        "frame by frame": opponent.frame_by_frame,
    }
    study_cells(bench)  # the first pass through the networks is slower
    rounds = [{name: run() for name, run in contenders.items()} for _ in range(ROUNDS)]
    other_bytes = {name: check_same(rounds[0]["study"], rounds[0][name]) for name in contenders}
    table = pd.DataFrame(
        {
            "what": name,
            "seconds": median(results[name].seconds for results in rounds),
            "times the study's": median(
                results[name].seconds / results["study"].seconds for results in rounds
            ),
            "share of bytes that differ by 1": other_bytes[name],
        }
        for name in contenders
    )
    table.insert(1, "couplings", len(opponent.paths))
    table.insert(2, "frames", bench.frames)
    batch_sizes = {
        "batch_size": SETTINGS.rendering.batch_size,
        "default_batch_size": DEFAULT_BATCH,
    }
    record("study", table, rounds=ROUNDS, steps=bench.rendering.steps, **batch_sizes)
    ratios = table.set_index("what")["times the study's"]
    assert ratios["frame by frame"] >= FASTER_THAN_FRAME_BY_FRAME
    assert ratios["batch by batch"] >= FASTER_THAN_BATCH_BY_BATCH


def test_backbone_passes_of_a_path_length(bench: Bench, report) -> None:
    """Each frame goes through the metric's network once, though it has two neighbours."""
    passes = []
    hook = bench.metric.network.net.register_forward_hook(
        lambda network, inputs, output: passes.append(len(inputs[0]))
    )
    frames = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    perceptual_distances(bench.metric, frames)
    hook.remove()
    report(f"backbone passes per frame: {sum(passes) / len(frames):.3f}")
    assert sum(passes) <= 1.05 * len(frames)
