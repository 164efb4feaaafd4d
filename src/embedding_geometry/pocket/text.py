"""The text half: a byte-pair tokenizer in CLIP's format and a contrastively trained text encoder.

Source: CLIP, Radford et al., ICML 2021, arXiv:2103.00020.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from embedding_geometry.pocket.fit import Batch, Place, fit
from embedding_geometry.pocket.recipes import Recipe, Scene

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
TOKENS, WIDTH = 77, 128
CAPTIONS = 40_000  # from which the tokenizer learns


def train_tokenizer(place: Place, recipe: Recipe) -> None:
    """Byte-pair encoding in CLIP's format: lower case, word ends marked `</w>`, specials last."""
    rng = np.random.default_rng(place.seed)
    raw = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=EOS))
    raw.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), as_bytes])
    trainer = trainers.BpeTrainer(vocab_size=1500, min_frequency=20, end_of_word_suffix="</w>")
    world = recipe.world
    texts = (world.caption(world.sample_scene(rng), rng) for _ in range(CAPTIONS))
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
    return tokenizer(
        texts, padding=padding, max_length=TOKENS, truncation=True, return_tensors="pt"
    ).input_ids


def convolution(channels: int, out: int, stride: int) -> list[nn.Module]:
    """The layers of a block of a convolutional encoder."""
    return [nn.Conv2d(channels, out, 3, stride, 1), nn.GroupNorm(8, out), nn.SiLU()]


def _image_tower() -> nn.Sequential:
    """A small image encoder, needed only with the text encoder: three halvings from 32x32."""
    return nn.Sequential(
        *convolution(3, 48, 2),
        *convolution(48, 96, 2),
        *convolution(96, 144, 2),
        nn.Conv2d(144, 144, 3, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(144 * 16, WIDTH),
    )


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """CLIP's text encoder in small, with new weights, for the tokenizer's vocabulary."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            projection_dim=WIDTH,
            max_position_embeddings=TOKENS,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


class Contrastive(nn.Module):
    """CLIP's symmetric loss between pooled texts and pictures at 32x32 pixels."""

    text_encoder: CLIPTextModel

    def __init__(self, tokenizer: CLIPTokenizer):
        """New weights for both halves; the vocabulary is the tokenizer's."""
        super().__init__()
        self.text_encoder = new_text_encoder(tokenizer)
        self.projection = nn.Linear(WIDTH, WIDTH, bias=False)
        self.tower = _image_tower()
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def similarities(self, ids: Tensor, images: Tensor) -> Tensor:
        """Cosines (texts, images)."""
        text = self.projection(self.text_encoder(ids).pooler_output)
        image = self.tower(F.avg_pool2d(images, 2))
        return F.normalize(text, dim=-1) @ F.normalize(image, dim=-1).T

    def forward(self, ids: Tensor, images: Tensor) -> Tensor:
        """Cross-entropy of finding the partner, in both directions."""
        logits = self.similarities(ids, images) * self.log_scale.clamp(max=4.6).exp()
        target = torch.arange(len(ids), device=ids.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def train_text(place: Place, recipe: Recipe) -> None:
    """Train the text encoder; scenes in twos that differ in one value are its hard negatives.

    Where the recipe trains it with the UNet alone, it is left with its first weights.
    """
    tokenizer, world = load_tokenizer(place.folder), recipe.world
    torch.manual_seed(place.seed)
    if recipe.encoder == "joint":
        new_text_encoder(tokenizer).save_pretrained(place.folder / "text_encoder")
        return

    def draw(rng: np.random.Generator, count: int) -> Batch:
        scenes: list[Scene] = []
        for _ in range(count // 2):
            scene = world.sample_scene(rng)
            scenes += [scene, world.changed(scene, 1, rng)]
        repeats = 3 if rng.random() < 0.06 else 1  # three, to train the late positions too
        texts = [". ".join(world.caption(s, rng) for _ in range(repeats)) for s in scenes]
        return tokenize(tokenizer, texts, trim=True), world.pictured(scenes, rng)

    objective = fit("text", Contrastive(tokenizer), draw, recipe.text, place)
    if place.first:
        objective.text_encoder.save_pretrained(place.folder / "text_encoder")
        save_file(objective.state_dict(), place.folder / "text_final.safetensors")
