"""A cell of the study: from two prompts to the perceptual distances along one way between them.

Couplings are compared like with like: the same initial latent, frames rendered in shared batches,
and the two ends of the path, which are the same images for every coupling, rendered once.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby

import numpy as np
import torch

from embedding_geometry.diffusion.clouds import Texts, encode
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.diffusion.schedules import fresh_scheduler
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.diffusion.tokens import end_row
from embedding_geometry.ground.machine import (
    library_versions,
    package_source,
    this_machine,
    utc_now,
)
from embedding_geometry.ground.plugins import Plugin
from embedding_geometry.ground.types import CloudPath, Frames
from embedding_geometry.perception.metric import PerceptualMetric, perceptual_distances
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.results import Cell
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.tasks import Task
from embedding_geometry.transport.couplings import wasserstein_distance
from embedding_geometry.transport.paths import wasserstein_length
from embedding_geometry.transport.rules import Rule, some_frames
from embedding_geometry.transport.ways import NONE_OWN, Ends, Own, find_way, own_ways

Keep = Callable[[Task, Texts, CloudPath | Rule, Frames], None]  # what it likes of the pictures
LIBRARIES = ("torch", "diffusers", "transformers", "lpips", "torchvision", "numpy", "scipy")


@dataclass(frozen=True)
class Bench:
    """What every cell needs, made ready once."""

    model: TextToImageModel
    metric: PerceptualMetric
    rendering: RenderSettings
    frames: int
    couplings_of: Callable[[int], tuple[str, ...]]  # those of a seed
    environment: dict[str, object]
    own: Mapping[str, Plugin]  # the user's among the couplings
    beside: tuple[PerceptualMetric, ...] = ()
    judge: Plugin | None = None
    keep: Keep | None = None

    @property
    def versions(self) -> dict[str, object]:
        """What else determines a cell, if anything: the user's ways, the nets beside the first."""
        ways = {name: plugin.version for name, plugin in self.own.items()}
        nets = {metric.net: metric.revision for metric in self.beside}
        return {kind: found for kind, found in {"ways": ways, "nets": nets}.items() if found}


def prepare_bench(settings: StudySettings) -> Bench:
    """Load model and metric, and settle what the settings leave to the model."""
    model = settings.loading.load()
    metric, *beside = (
        replace(load_metric(settings.own.get(net, net), str(model.device)), net=net)
        for net in (settings.net, *settings.nets_beside)
    )
    rendering = settings.rendering.resolve(model)
    return Bench(
        model,
        metric,
        rendering,
        settings.frames,
        settings.couplings_of,
        environment(model),
        own_ways(settings.named_couplings, settings.own),
        tuple(beside),
        settings.judging,
    )


def check_prompts(
    model: TextToImageModel, settings: RenderSettings, pairs: Sequence[PromptPair]
) -> None:
    """Raise for a prompt or steps that do not fit now, not hours later when their turn comes."""
    fresh_scheduler(model, settings)
    texts = [text for pair in pairs for text in (pair.source, pair.target)]
    for text in (settings.negative_prompt, *texts):
        end_row(model, text)


def conditions_of_cells(bench: Bench) -> dict[str, object]:
    """What determines a cell besides texts, seed and coupling; batches matter by rounding."""
    return {
        "model": bench.model.provenance.revision,
        "device": bench.model.device.type,
        "dtype": bench.model.provenance.dtype,
        "net": bench.metric.net,
        "net_revision": bench.metric.revision,
        "frames": bench.frames,
        **asdict(bench.rendering),
        **bench.versions,
    }


def compute_cells(bench: Bench, tasks: Iterable[Task]) -> Iterator[tuple[Task, Cell]]:
    """Compute the tasks in their order; those of one pair, and of one seed, stand together.

    All couplings of a pair and a seed are rendered, also where only some of them are asked for:
    a frame is then in the same batch whatever was finished before, and the same to the bit.
    """
    started = utc_now("microseconds")
    for pair, tasks_of_pair in groupby(tasks, key=lambda task: task.pair):
        texts = encode(bench.model, [pair.source, pair.target])
        w2 = wasserstein_distance(*texts.clouds, normalized=False)
        for seed, tasks_of_latent in groupby(tasks_of_pair, key=lambda task: task.seed):
            paths = {
                coupling: cloud_path(pair, coupling, texts.ends, bench.frames, bench.own)
                for coupling in bench.couplings_of(seed)
            }
            frames = render_paths(bench, texts, seed, paths)
            for task in tasks_of_latent:
                path, images = paths[task.coupling], frames[task.coupling]
                distances, *beside = (
                    perceptual_distances(metric, images).tolist()
                    for metric in (bench.metric, *bench.beside)
                )
                length = None if isinstance(path, Rule) else wasserstein_length(path)
                cell = Cell(
                    identity=task.identity,
                    distances=distances,
                    beside={m.net: d for m, d in zip(bench.beside, beside, strict=True)},
                    wasserstein_length=length,  # a rule has none
                    w2=w2,
                    started=started,
                    ended=utc_now("microseconds"),
                    environment=bench.environment,
                )
                if bench.keep is not None:
                    bench.keep(task, texts, path, images)
                yield task, cell
                started = utc_now("microseconds")


def images_of_latent(bench: Bench, seed: int) -> int:
    """How many images are rendered for a pair from this seed's latent, whatever is asked for."""
    return 2 + len(bench.couplings_of(seed)) * (bench.frames - 2)


def render_paths(
    bench: Bench, texts: Texts, seed: int, paths: Mapping[str, CloudPath | Rule]
) -> dict[str, Frames]:
    """The frames of each path between two texts, in shared batches and the ends rendered once.

    Rules follow one by one, each in batches of its own. A path that stops short of the target ends
    with an image of its own.
    """
    latent = initial_latent(bench.model, seed, bench.rendering)
    own = {name: range(1, len(path) - texts.ends.arrives(path)) for name, path in paths.items()}
    rules = {name: path for name, path in paths.items() if isinstance(path, Rule)}
    clouds = {n: path[own[n]] for n, path in paths.items() if not isinstance(path, Rule)}
    inner = np.linspace(0.0, 1.0, bench.frames)
    times = np.concatenate([[0.0, 1.0], *(inner[own[name]] for name in clouds)])
    frames = texts.along(np.concatenate([texts.clouds, *clouds.values()]), times)
    images = render(bench.model, frames, latent, bench.rendering)
    stops = np.cumsum([2, *map(len, clouds.values())])
    parts = dict(zip(clouds, np.split(images, stops)[1:-1], strict=True))
    for name, rule in rules.items():
        mixed = texts.along(some_frames(rule, [*own[name]]), inner[own[name]])
        parts[name] = render(bench.model, mixed, latent, bench.rendering)
    # the shared image of the target follows where the path arrives there
    return {
        name: np.concatenate([images[:1], part, images[1:2]])[: bench.frames]
        for name, part in parts.items()
    }


def cloud_path(
    pair: PromptPair, name: str, ends: Ends, frames: int, own: Own = NONE_OWN
) -> CloudPath | Rule:
    """The path, or the rule, that the frames of one way between the prompts are rendered from."""
    times = np.linspace(0.0, 1.0, frames)
    return find_way(name, own)(ends, times, coupling_rng(pair.pair_id))


def coupling_rng(pair_id: str) -> np.random.Generator:
    """Source of a pair's random coupling: the same on every latent, machine and day.

    Its seed is the first 8 bytes, big-endian, of the SHA-256 of `random coupling of <pair_id>`.
    """
    digest_bytes = hashlib.sha256(f"random coupling of {pair_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest_bytes[:8], "big"))


def environment(model: TextToImageModel) -> dict[str, object]:
    """The machine, the package and the library versions that compute now."""
    return {
        **package_source(),
        **this_machine(),
        "threads": torch.get_num_threads(),
        "device": model.provenance.device,
        "versions": library_versions(*LIBRARIES),
    }
