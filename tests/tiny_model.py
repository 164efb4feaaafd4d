"""Stable Diffusions of random weights in the standard folder format, small enough for unit tests.

``write_tiny_model`` has the classes and the layout of the pocket model: CLIP tokenizer with 77
tokens, CLIP text encoder, UNet with cross-attention on 8x8 latents, autoencoder with f = 8, DDIM
with v-prediction. ``write_tiny_family`` writes the folders of Stable Diffusion 1, 2 and XL as they
are published: their schedulers, paddings and UNets. Every parameter is drawn at random and none is
zero: a zero-initialised layer would make the checks of invariance vacuous.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
import torchvision
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import pre_tokenizers, trainers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from embedding_geometry.diffusion.samplers import SCHEDULERS

TOKENS = 77
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
CAPTIONS = [
    "a small cat on the beach at night",
    "at night, on the beach: a little cat",
    "a red car in the snow next to a big dog",
    "the green tree stands in a meadow under the blue sky",
    "two birds over the sea",
]
PUBLISHED_NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def write_tiny_model(folder: str | Path, *, seed: int = 0, width: int = 32) -> Path:
    """Write the model, of the given text width, into ``folder`` and return the folder."""
    folder = Path(folder)
    torch_state = torch.get_rng_state()  # the constructors draw from the global generator
    generator = torch.Generator().manual_seed(seed)
    tokenizer = write_tokenizer(folder / "tokenizer")
    pipeline = StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=randomize(text_encoder(tokenizer, width), generator),
        unet=randomize(unet(width), generator),
        vae=randomize(vae(), generator),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    (folder / "generation.json").write_text(json.dumps({"steps": 4, "guidance_scale": 3.0}))
    torch.set_rng_state(torch_state)
    return folder


def write_tiny_family(
    folder: str | Path, family: str, captions: Sequence[str] = CAPTIONS, *, seed: int = 1
) -> Path:
    """Write a tiny ``sd1``, ``sd2`` or ``xl`` as published, and return the folder.

    Its tokenizer has words of its own for what stands in the captions alone: a long prompt of
    other words does not fit into 77 tokens.
    """
    folder = Path(folder)
    torch_state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(seed)
    pipeline = {"sd1": sd1, "sd2": sd2, "xl": xl}[family](folder, generator, captions)
    pipeline.save_pretrained(folder, safe_serialization=True)
    torch.set_rng_state(torch_state)
    return folder


def edit_json(file: Path, **changes: object) -> None:
    """Change entries of a description."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def set_scheduler(folder: Path, **changes: object) -> None:
    """Change the sampler's description, and the class that the index names."""
    edit_json(folder / "scheduler/scheduler_config.json", **changes)
    if name := changes.get("_class_name"):
        edit_json(folder / "model_index.json", scheduler=["diffusers", name])


def pipeline_of(
    folder: Path, sampler: str | None = None
) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """Return the folder as diffusers loads it, with its own sampler or another in its place."""
    index = json.loads((folder / "model_index.json").read_text())["_class_name"]
    xl = "XL" in index
    kind = StableDiffusionXLPipeline if xl else StableDiffusionPipeline
    options = {"add_watermarker": False} if xl else {"safety_checker": None}
    if sampler:
        config = SCHEDULERS[sampler].load_config(folder / "scheduler")
        options["scheduler"] = SCHEDULERS[sampler].from_config({"clip_sample": False} | config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is corrected while it is built
        pipeline = kind.from_pretrained(folder, **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sd1(
    folder: Path, generator: torch.Generator, captions: Sequence[str]
) -> StableDiffusionPipeline:
    """Return a model that predicts the noise, with the sampler that Stable Diffusion 1 names."""
    tokenizer = write_tokenizer(folder / "tokenizer", captions)
    return StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=randomize(text_encoder(tokenizer, 24), generator),
        unet=randomize(unet(24), generator),
        vae=randomize(vae(), generator),
        scheduler=PNDMScheduler(**PUBLISHED_NOISE, skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sd2(
    folder: Path, generator: torch.Generator, captions: Sequence[str]
) -> StableDiffusionPipeline:
    """Return a model that predicts the velocity; OpenCLIP pads with the first token, ``!``."""
    tokenizer = write_tokenizer(folder / "tokenizer", captions, pad="!")
    return StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=randomize(text_encoder(tokenizer, 40, hidden_act="gelu"), generator),
        unet=randomize(unet(40, attention_head_dim=[2, 4], use_linear_projection=True), generator),
        vae=randomize(vae(), generator),
        scheduler=DDIMScheduler(
            **PUBLISHED_NOISE, clip_sample=False, prediction_type="v_prediction"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def xl(
    folder: Path, generator: torch.Generator, captions: Sequence[str]
) -> StableDiffusionXLPipeline:
    """Return a model with two text encoders of widths 16 and 24, the second with a pooled 20."""
    tokenizer = write_tokenizer(folder / "tokenizer", captions)
    tokenizer_2 = write_tokenizer(folder / "tokenizer_2", captions, pad="!")
    encoder_2 = text_encoder(tokenizer_2, 24, pooled_width=20, hidden_act="gelu")
    beside = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 20 + 6 * 8,
        "transformer_layers_per_block": [1, 2],
        "use_linear_projection": True,
    }
    return StableDiffusionXLPipeline(
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        text_encoder=randomize(text_encoder(tokenizer, 16), generator),
        text_encoder_2=randomize(encoder_2, generator),
        unet=randomize(unet(16 + 24, **beside), generator),
        vae=randomize(vae(), generator),
        scheduler=EulerDiscreteScheduler(**PUBLISHED_NOISE, timestep_spacing="leading"),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def write_tokenizer(
    folder: Path, captions: Sequence[str] = CAPTIONS, *, pad: str = EOS
) -> CLIPTokenizer:
    """Train CLIP's byte-pair encoding on captions; other tools read vocab and merges."""
    backend = CLIPTokenizer().backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=1500, end_of_word_suffix="</w>", show_progress=False, min_frequency=1
    )
    backend.train_from_iterator(captions, trainer)
    merges = [tuple(merge) for merge in json.loads(backend.to_str())["model"]["merges"]]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), BOS, EOS]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = CLIPTokenizer(
        vocab=vocabulary, merges=merges, model_max_length=TOKENS, pad_token=pad
    )
    tokenizer.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *map(" ".join, merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines))
    return CLIPTokenizer.from_pretrained(folder)


def text_encoder(
    tokenizer: CLIPTokenizer,
    width: int,
    *,
    pooled_width: int | None = None,
    hidden_act: str = "quick_gelu",
) -> CLIPTextModel | CLIPTextModelWithProjection:
    """Return a CLIP text encoder of two layers, with a projection if a pooled width is given."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        hidden_size=width,
        intermediate_size=64,
        projection_dim=pooled_width or width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        hidden_act=hidden_act,
    )
    return CLIPTextModelWithProjection(config) if pooled_width else CLIPTextModel(config)


def unet(width: int, **changes: object) -> UNet2DConditionModel:
    """Return a UNet with cross-attention at both of its levels."""
    config = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 1,
        "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": width,
        "attention_head_dim": 2,  # the number of heads, by the library's old name
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**config | changes)


def vae() -> AutoencoderKL:
    """Return an autoencoder of three halvings: 64x64 pixels, 8x8 latents."""
    return AutoencoderKL(
        sample_size=64,
        latent_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        scaling_factor=0.7,
    )


def scheduler() -> DDIMScheduler:
    """Return DDIM as the pocket model uses it."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        set_alpha_to_one=False,
        clip_sample=False,
        steps_offset=1,
    )


def write_backbone(folder: Path) -> None:
    """Write a random SqueezeNet 1.1 under the name that torchvision's cache has for it."""
    network = torchvision.models.squeezenet1_1(weights=None)
    randomize(network.features, torch.Generator().manual_seed(0))
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "squeezenet1_1-b8a52dc0.pth")


def randomize(module: torch.nn.Module, generator: torch.Generator) -> torch.nn.Module:
    """Redraw all parameters: matrices at the scale of their inputs, gains near 1, small biases."""
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            value = noise * (2 / parameter[0].numel()) ** 0.5
        else:
            value = 0.1 * noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
        parameter.data.copy_(value)
    return module
