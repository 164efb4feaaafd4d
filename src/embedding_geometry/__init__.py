"""Text embeddings as point clouds: couplings, paths, images and their perceptual path length.

The public names in the order of the data: prompts -> token clouds -> coupling -> path of clouds ->
frames -> perceptual distances -> statistics -> study. Each module is imported when one of its
names is first used, so that the mathematics starts without torch.
"""

# ruff: noqa: F401 - the imports for type checkers are the package's public names
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what an editor and a type checker read; `_HOMES` says the same at run time
    from embedding_geometry.attention import cross_attention, order_sensitivity
    from embedding_geometry.barycenters import (
        frechet_objective,
        mean_of_rows,
        square_grid,
        triangle_grid,
        wasserstein_barycenter,
    )
    from embedding_geometry.clouds import (
        encode_pooled,
        encode_prompts,
        interpolate_pooled,
        token_labels,
    )
    from embedding_geometry.couplings import (
        cost_matrix,
        couple,
        coupling_cost,
        optimal_coupling,
        pairwise_wasserstein,
        random_coupling,
        row_coupling,
        wasserstein_distance,
        worst_coupling,
    )
    from embedding_geometry.evaluation import (
        compare_paths,
        measure_path,
        measure_paths,
        path_table,
    )
    from embedding_geometry.frames import read_frames, write_animation, write_frames
    from embedding_geometry.generation import (
        RenderSettings,
        decode_latents,
        default_settings,
        initial_latent,
        render,
        sample_latents,
    )
    from embedding_geometry.models import configured_model, load_model
    from embedding_geometry.paths import displacement_interpolation, wasserstein_length
    from embedding_geometry.perception import (
        PathLengthMeter,
        directness,
        load_metric,
        perceptual_distances,
        perceptual_path_length,
    )
    from embedding_geometry.prompts import (
        PromptPair,
        read_cxc,
        read_prompt_pairs,
        sample_pairs,
    )
    from embedding_geometry.repairing import pairings
    from embedding_geometry.results import StudySettings
    from embedding_geometry.retiming import KnownFrames, retime
    from embedding_geometry.statistics import holm, paired_comparison, spearman, verdict
    from embedding_geometry.study import run_study

_HOMES = {
    "PromptPair": "prompts",
    "read_prompt_pairs": "prompts",
    "read_cxc": "prompts",
    "sample_pairs": "prompts",
    "configured_model": "models",
    "load_model": "models",
    "encode_prompts": "clouds",
    "encode_pooled": "clouds",
    "interpolate_pooled": "clouds",
    "token_labels": "clouds",
    "cross_attention": "attention",
    "order_sensitivity": "attention",
    "cost_matrix": "couplings",
    "row_coupling": "couplings",
    "optimal_coupling": "couplings",
    "random_coupling": "couplings",
    "worst_coupling": "couplings",
    "couple": "couplings",
    "coupling_cost": "couplings",
    "wasserstein_distance": "couplings",
    "pairwise_wasserstein": "couplings",
    "displacement_interpolation": "paths",
    "pairings": "repairing",
    "wasserstein_length": "paths",
    "wasserstein_barycenter": "barycenters",
    "mean_of_rows": "barycenters",
    "frechet_objective": "barycenters",
    "triangle_grid": "barycenters",
    "square_grid": "barycenters",
    "RenderSettings": "generation",
    "default_settings": "generation",
    "initial_latent": "generation",
    "sample_latents": "generation",
    "decode_latents": "generation",
    "render": "generation",
    "load_metric": "perception",
    "perceptual_distances": "perception",
    "perceptual_path_length": "perception",
    "PathLengthMeter": "perception",
    "directness": "perception",
    "retime": "retiming",
    "KnownFrames": "retiming",
    "read_frames": "frames",
    "write_frames": "frames",
    "write_animation": "frames",
    "measure_path": "evaluation",
    "measure_paths": "evaluation",
    "path_table": "evaluation",
    "compare_paths": "evaluation",
    "paired_comparison": "statistics",
    "holm": "statistics",
    "spearman": "statistics",
    "verdict": "statistics",
    "StudySettings": "results",
    "run_study": "study",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name from its module when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names beside those that are loaded."""
    return sorted({*globals(), *__all__})
