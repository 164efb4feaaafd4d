"""The stages that make the pocket model, in their order.

tokenizer → text encoder (contrastive, with an image tower) → KL autoencoder → latents → UNet, and the
perceptual backbone beside them. Every stage reads what the earlier ones left in the run folder.

Sources: CLIP, arXiv:2103.00020; latent diffusion, arXiv:2112.10752; v-prediction, arXiv:2202.00512;
zero terminal SNR and trailing timesteps, arXiv:2305.08891; classifier-free guidance, arXiv:2207.12598.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torchvision.models import squeezenet1_1
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from embedding_geometry.pocket.fit import Batch, Place, Plan, fit
from embedding_geometry.pocket.world import (
    OBJECTS,
    PLACES,
    TIMES,
    Scene,
    caption,
    changed,
    picture,
    sample_scene,
)

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
TOKENS, WIDTH, LATENT_CHANNELS = 77, 128, 12
PLANS = {
    "text": Plan(steps=1200, batch=192, rate=1.5e-3),
    "vae": Plan(steps=3000, batch=32, rate=1.5e-3, hold=0.4),
    "polish": Plan(steps=3000, batch=32, rate=6e-4, hold=0.2),
    "unet": Plan(steps=9000, batch=64, rate=1e-3, hold=0.5),
    "perceptual": Plan(steps=2500, batch=96, rate=1e-3),
}
PICTURES, CAPTIONS_A_PICTURE, SHARD = 60_000, 2, 4_000


# --- tokenizer ----------------------------------------------------------------------------------


def train_tokenizer(place: Place, captions: int = 40_000) -> None:
    """Byte-pair encoding in CLIP's format: lower case, word ends marked `</w>`, specials last."""
    rng = np.random.default_rng(place.seed)
    raw = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=EOS))
    raw.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=1500, min_frequency=20, end_of_word_suffix="</w>")
    texts = (caption(sample_scene(rng), rng) for _ in range(captions))
    raw.train_from_iterator(texts, trainer)
    merges = [tuple(m) for m in json.loads(raw.to_str())["model"]["merges"]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = alphabet + [c + "</w>" for c in alphabet] + [a + b for a, b in merges] + [BOS, EOS]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    folder = place.folder / "tokenizer"
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(m) for m in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The trained tokenizer of a run folder or of a finished model."""
    return CLIPTokenizer.from_pretrained(folder / "tokenizer")


def tokenize(tokenizer: CLIPTokenizer, texts: list[str], *, trim: bool = False) -> Tensor:
    """Token ids (texts, 77), or as many columns as the longest text needs with `trim`."""
    padding = "longest" if trim else "max_length"
    return tokenizer(texts, padding=padding, max_length=TOKENS, truncation=True,
                     return_tensors="pt").input_ids


# --- text encoder ---------------------------------------------------------------------------------


def pixels(pictures: list[np.ndarray]) -> Tensor:
    """Pictures uint8 (64, 64, 3) -> float tensor (n, 3, 64, 64) in [-1, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


class ImageTower(nn.Sequential):
    """A small convolutional image encoder, needed only while the text encoder is trained."""

    def __init__(self, width: int = 48, out: int = WIDTH):
        def block(i: int, o: int) -> list[nn.Module]:
            return [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.GroupNorm(8, o), nn.SiLU()]

        super().__init__(*block(3, width), *block(width, 2 * width), *block(2 * width, 3 * width),
                         nn.Conv2d(3 * width, 3 * width, 3, padding=1), nn.SiLU(),
                         nn.Flatten(), nn.Linear(3 * width * 16, out))


class Contrastive(nn.Module):
    """CLIP's symmetric loss between pooled texts and pictures at 32x32 pixels."""

    def __init__(self, tokenizer: CLIPTokenizer):
        super().__init__()
        self.text_encoder = CLIPTextModel(CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH,
            num_hidden_layers=4, num_attention_heads=4, projection_dim=WIDTH,
            max_position_embeddings=TOKENS, hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id))
        self.projection = nn.Linear(WIDTH, WIDTH, bias=False)
        self.tower = ImageTower()
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def similarities(self, ids: Tensor, images: Tensor) -> Tensor:
        """Cosines (texts, images)."""
        text = self.projection(self.text_encoder(ids).pooler_output)
        image = self.tower(F.avg_pool2d(images, 2))
        return F.normalize(text, dim=-1) @ F.normalize(image, dim=-1).T

    def forward(self, ids: Tensor, images: Tensor) -> Tensor:
        logits = self.similarities(ids, images) * self.log_scale.clamp(max=4.6).exp()
        target = torch.arange(len(ids), device=ids.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _captions(scenes: list[Scene], rng: np.random.Generator) -> list[str]:
    """Now and then a whole batch says everything three times, so that late positions are trained."""
    repeats = 3 if rng.random() < 0.06 else 1
    return [". ".join(caption(s, rng) for _ in range(repeats)) for s in scenes]


def _with_near_misses(rng: np.random.Generator, count: int) -> Iterator[Scene]:
    """Scenes in twos that differ in a single value: hard negatives for the contrastive loss."""
    for _ in range(count // 2):
        scene = sample_scene(rng)
        yield scene
        yield changed(scene, 1, rng)


def train_text(place: Place) -> None:
    """Train the text encoder; every batch holds near misses."""
    tokenizer = load_tokenizer(place.folder)
    torch.manual_seed(place.seed)

    def draw(rng: np.random.Generator, count: int) -> Batch:
        scenes = list(_with_near_misses(rng, count))
        ids = tokenize(tokenizer, _captions(scenes, rng), trim=True)
        return ids, pixels([picture(s, rng) for s in scenes])

    objective = fit("text", Contrastive(tokenizer), draw, PLANS["text"], place)
    if place.first:
        objective.text_encoder.save_pretrained(place.folder / "text_encoder")
        save_file(objective.state_dict(), place.folder / "text_final.safetensors")


# --- autoencoder ----------------------------------------------------------------------------------


def new_autoencoder() -> AutoencoderKL:
    """64x64 pixels to 8x8 latents of 12 channels."""
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=LATENT_CHANNELS, sample_size=64,
        block_out_channels=(16, 32, 64, 64), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction_loss(out: Tensor, target: Tensor) -> Tensor:
    """L1 + squares + edges, with more weight where the target has detail."""
    detail = F.avg_pool2d(F.max_pool2d(target, 5, 1, 2) + F.max_pool2d(-target, 5, 1, 2), 3, 1, 1)
    weight = 1 + 2 * detail.mean(1, keepdim=True).clamp(max=1)
    error = (out - target) * weight
    edges = sum((a - b).abs().mean() for a, b in zip(_edges(out), _edges(target), strict=True))
    return error.abs().mean() + 2 * error.square().mean() + 0.3 * edges


class Autoencoding(nn.Module):
    """Reconstruction with a slight pull of the latents towards a standard normal."""

    def __init__(self, vae: AutoencoderKL, *, decoder_only: bool = False):
        super().__init__()
        self.vae = vae
        if decoder_only:
            vae.encoder.requires_grad_(False)
            vae.quant_conv.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        latents = self.vae.encode(images).latent_dist
        out = self.vae.decode(latents.sample()).sample
        return reconstruction_loss(out, images) + 2e-6 * latents.kl().mean() / LATENT_CHANNELS


def _draw_pictures(rng: np.random.Generator, count: int) -> Batch:
    return (pixels([picture(sample_scene(rng), rng) for _ in range(count)]),)


@torch.no_grad()
def _latent_scale(vae: AutoencoderKL, rng: np.random.Generator) -> float:
    latents = vae.encode(_draw_pictures(rng, 256)[0]).latent_dist.mean
    return round(1 / latents.std().item(), 5)


def train_vae(place: Place) -> None:
    """Train the autoencoder and set its scaling factor so that latents have unit deviation."""
    torch.manual_seed(place.seed)
    vae = fit("vae", Autoencoding(new_autoencoder()), _draw_pictures, PLANS["vae"], place).vae
    vae.register_to_config(scaling_factor=_latent_scale(vae, np.random.default_rng(place.seed)))
    if place.first:
        vae.save_pretrained(place.folder / "vae")


def polish_decoder(place: Place) -> None:
    """Train the decoder on, with the encoder as it is: the latents and the UNet stay valid."""
    vae = AutoencoderKL.from_pretrained(place.folder / "vae")
    fit("polish", Autoencoding(vae, decoder_only=True), _draw_pictures, PLANS["polish"], place)
    if place.first:
        vae.save_pretrained(place.folder / "vae")


# --- latents --------------------------------------------------------------------------------------


@torch.no_grad()
def encode_dataset(place: Place) -> None:
    """Encode pictures and captions once, in shards of float16; finished shards are kept."""
    folder = place.folder / "latents"
    folder.mkdir(exist_ok=True)
    tokenizer = load_tokenizer(place.folder)
    text_encoder = CLIPTextModel.from_pretrained(place.folder / "text_encoder").to(place.device)
    vae = AutoencoderKL.from_pretrained(place.folder / "vae").to(place.device)
    mine = range(place.rank, PICTURES // SHARD, place.world)
    for number in tqdm(mine, "latents", disable=not place.first):
        path = folder / f"{number:03d}.safetensors"
        if path.exists():
            continue
        rng = np.random.default_rng([place.seed, 10**6 + number])
        latents, texts = [], []
        for _ in range(SHARD // 100):
            scenes = [sample_scene(rng) for _ in range(100)]
            images = pixels([picture(s, rng) for s in scenes]).to(place.device)
            latents.append(vae.encode(images).latent_dist.mean * vae.config.scaling_factor)
            for _ in range(CAPTIONS_A_PICTURE):
                ids = tokenize(tokenizer, [caption(s, rng) for s in scenes]).to(place.device)
                texts.append(text_encoder(ids).last_hidden_state.half().cpu())
        text = torch.stack(texts).view(-1, CAPTIONS_A_PICTURE, 100, TOKENS, WIDTH).transpose(1, 2)
        save_file({"latents": torch.cat(latents).half().cpu(),
                   "texts": text.reshape(SHARD, CAPTIONS_A_PICTURE, TOKENS, WIDTH).contiguous()},
                  path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)


# --- UNet -----------------------------------------------------------------------------------------


def new_scheduler() -> DDIMScheduler:
    """Velocity prediction, zero terminal signal-to-noise ratio, trailing timesteps."""
    return DDIMScheduler(
        num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing",
        clip_sample=False)


def new_unet() -> UNet2DConditionModel:
    """Two levels, cross-attention to all 77 tokens at both."""
    return UNet2DConditionModel(
        sample_size=8, in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128), layers_per_block=1, cross_attention_dim=WIDTH,
        attention_head_dim=4, norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2)


class Denoising(nn.Module):
    """The velocity loss of a noised latent, given the text."""

    def __init__(self, unet: UNet2DConditionModel):
        super().__init__()
        self.unet, self.scheduler = unet, new_scheduler()

    def forward(self, latents: Tensor, noise: Tensor, times: Tensor, texts: Tensor) -> Tensor:
        noised = self.scheduler.add_noise(latents, noise, times)
        velocity = self.scheduler.get_velocity(latents, noise, times)
        return F.mse_loss(self.unet(noised, times, texts).sample, velocity)


def train_unet(place: Place, dropout: float = 0.1) -> None:
    """Train the UNet on the cached latents; a tenth of the texts is replaced by the empty one."""
    shards = [load_file(p) for p in sorted((place.folder / "latents").glob("*.safetensors"))]
    if not shards:
        raise FileNotFoundError(f"no latents in {place.folder / 'latents'}: run the stage 'latents' first")
    latents = torch.cat([s["latents"] for s in shards])
    texts = [s["texts"] for s in shards]
    empty = CLIPTextModel.from_pretrained(place.folder / "text_encoder")(
        tokenize(load_tokenizer(place.folder), [""])).last_hidden_state.detach()[0]

    def draw(rng: np.random.Generator, count: int) -> Batch:
        index = rng.integers(len(latents), size=count)
        which = rng.integers(CAPTIONS_A_PICTURE, size=count)
        chosen = torch.stack([texts[i // SHARD][i % SHARD, k] for i, k in zip(index, which, strict=True)])
        chosen = chosen.float()
        chosen[torch.from_numpy(rng.random(count) < dropout)] = empty
        noise = torch.from_numpy(rng.standard_normal((count, *latents.shape[1:]), np.float32))
        times = torch.from_numpy(rng.integers(1000, size=count))
        return latents[torch.from_numpy(index)].float(), noise, times, chosen

    torch.manual_seed(place.seed)
    unet = fit("unet", Denoising(new_unet()), draw, PLANS["unet"], place).unet
    if place.first:
        unet.save_pretrained(place.folder / "unet")


# --- perceptual backbone --------------------------------------------------------------------------

SLOTS = ("left", "middle", "right")


def labels(scene: Scene) -> list[int]:
    """Object in each slot (0 = none), then place, then time of day."""
    names = list(OBJECTS)
    slots = dict.fromkeys(SLOTS, 0)
    slots[scene.position] = 1 + names.index(scene.thing)
    if scene.second:
        slots["right" if scene.position == "left" else "left"] = 1 + names.index(scene.second)
    return [*slots.values(), list(PLACES).index(scene.place), list(TIMES).index(scene.time)]


CLASSES = (*(1 + len(OBJECTS),) * 3, len(PLACES), len(TIMES))


def draw_labelled(rng: np.random.Generator, count: int) -> Batch:
    """Pictures in [-1, 1] and their labels (count, 5)."""
    scenes = [sample_scene(rng) for _ in range(count)]
    images = pixels([picture(s, rng) for s in scenes])
    return images, torch.tensor([labels(s) for s in scenes])


class Recognising(nn.Module):
    """Softmax classification of what stands where, from any feature extractor."""

    def __init__(self, features: nn.Module, width: int):
        super().__init__()
        self.features = features
        self.heads = nn.Linear(width, sum(CLASSES))

    def logits(self, images: Tensor) -> list[Tensor]:
        """One tensor of logits for every label."""
        return list(self.heads(self.features(images).flatten(1)).split(CLASSES, dim=1))

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        return sum(F.cross_entropy(o, t) for o, t in zip(self.logits(images), target.T, strict=True))


class _LPIPSInput(nn.Module):
    """LPIPS' own shift and scale, so that the backbone sees what it will see in use."""

    def forward(self, images: Tensor) -> Tensor:
        shift = images.new_tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
        scale = images.new_tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
        return (images - shift) / scale


def train_perceptual(place: Place) -> None:
    """Train SqueezeNet 1.1 as a recogniser and keep its features for LPIPS."""
    torch.manual_seed(place.seed)
    backbone = squeezenet1_1(weights=None).features
    objective = Recognising(nn.Sequential(_LPIPSInput(), backbone), 512 * 9)
    fit("perceptual", objective, draw_labelled, PLANS["perceptual"], place)
    if place.first:
        target = place.folder / "perceptual"
        target.mkdir(exist_ok=True)
        save_file(backbone.state_dict(), target / "backbone.safetensors")


STAGES = {
    "tokenizer": train_tokenizer,
    "text": train_text,
    "vae": train_vae,
    "latents": encode_dataset,
    "unet": train_unet,
    "polish": polish_decoder,
    "perceptual": train_perceptual,
}
"""In the order in which they run; `text` and `vae`, and the last three, do not depend on each other."""


def run_stage(stage: str, place: Place, workers: int = 1) -> None:
    """Run one stage, in `workers` single-threaded processes that average their gradients.

    On a CPU two such processes are faster than one process with two threads. The stages `tokenizer`
    and `text` (whose loss compares all samples of a batch) always take one.
    """
    world = 1 if stage in ("tokenizer", "text") else workers
    if world == 1:
        STAGES[stage](place)
    else:
        mp.spawn(_work, (stage, place, world), nprocs=world)


def _work(rank: int, stage: str, place: Place, world: int) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(29500 + list(STAGES).index(stage)))
    dist.init_process_group("gloo", rank=rank, world_size=world)
    STAGES[stage](replace(place, rank=rank, world=world))
    dist.destroy_process_group()
