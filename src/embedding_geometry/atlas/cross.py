"""Transformers in which the picture, film or sound asks the text through cross-attention."""

from typing import Any

import torch
from torch import nn

from embedding_geometry.atlas.check import Cause
from embedding_geometry.atlas.tiny import (
    FILM,
    HALFWAY,
    IMAGE,
    MASK,
    MASKED,
    POOLED,
    TEXT,
    TIME,
    N,
    change_option,
    entry,
    normal,
    set_attribute,
    zeros,
)

HUNYUAN_DIT = {
    "patch_size": 2,
    "pooled_projection_dim": 16,
    "use_style_cond_and_image_meta_size": False,
}
MASKED_IMAGE = {
    "hidden_size": 16,
    "encoder_hidden_size": 24,
    "in_channels": 16,
    "block_out_channels": 16,
    "intermediate_size": 16,
}

SOUND = {**TEXT, "hidden_states": normal(1, 4, 8)}
WAVES = {**TEXT, **HALFWAY, "hidden_states": normal(1, 8, 4)}
PACKED_FILM = {
    **TEXT,
    **MASKED,
    "hidden_states": normal(1, 8, 4),
    "num_frames": 2,
    "height": 2,
    "width": 2,
}
HUNYUAN_TEXTS = {
    **IMAGE,
    "timestep": TIME.double(),
    "text_embedding_mask": MASK,
    "encoder_hidden_states_t5": normal(1, N, 24).flip(1),
    "text_embedding_mask_t5": MASK,
}
KANDINSKY = {**TEXT, **POOLED, "hidden_states": normal(1, 2, 8, 8, 4)}


def _free_the_padding(model: Any, inputs: dict[str, Any]) -> None:
    """Give every place of HunyuanDiT the same padding vector."""
    first = model.text_embedding_padding[:1]
    model.text_embedding_padding = nn.Parameter(first.clone(), requires_grad=False)


def _still_the_text_rotation(model: Any, inputs: dict[str, Any]) -> None:
    """Turn the rotary angles of Kandinsky's text encoders to zero."""
    for name, angles in model.named_buffers():
        if "text_rope_embeddings" in name:
            angles.zero_()


def _still_keys(model: Any, inputs: dict[str, Any]) -> None:
    """Make the rotation of LongCat's text keys the identity: cosine 1 and sine 0."""
    change_option(model.blocks, "cond_rope", lambda rope: (torch.ones_like(rope[0]), 0 * rope[1]))


NO_PLACES = set_attribute("time_extra_emb.pooler.positional_embedding", zeros(1, 24))
SAME_PADDING = Cause("a padding vector per place", _free_the_padding)
STILL_TEXT = Cause("rotary positions in the text encoder", _still_the_text_rotation)

CROSS_ATTENTION = (
    entry(
        "PixArt-α, PixArt-Σ",
        "PixArtTransformer2DModel",
        {**IMAGE, **MASKED, "added_cond_kwargs": {"resolution": None, "aspect_ratio": None}},
        {"out_channels": 8, "use_additional_conditions": False, "norm_num_groups": 4},
    ),
    entry("Sana", "SanaTransformer2DModel", {**IMAGE, **MASKED}),
    entry("Sana Video", "SanaVideoTransformer3DModel", {**FILM, **MASKED}),
    entry(
        "Lumina-Next",
        "LuminaNextDiT2DModel",
        {
            **IMAGE,
            "encoder_mask": MASK,
            "image_rotary_emb": torch.polar(torch.ones(4, 4, 8), normal(4, 4, 8).float()),
            "cross_attention_kwargs": {},
        },
        {"hidden_size": 32, "num_kv_heads": 2},
        dtype=torch.float32,
    ),
    entry(
        "Latte",
        "LatteTransformer3DModel",
        FILM,
        {
            "patch_size": 2,
            "num_embeds_ada_norm": 1000,
            "norm_type": "ada_norm_single",
            "norm_elementwise_affine": False,
        },
    ),
    entry("Allegro", "AllegroTransformer3DModel", {**FILM, **MASKED}, {"sample_frames": 3}),
    entry("Wan", "WanTransformer3DModel", FILM, dtype=torch.float32),
    entry(
        "Wan VACE",
        "WanVACETransformer3DModel",
        {**FILM, "control_hidden_states": normal(1, 6, 3, 8, 8)},
        {"vace_layers": [0, 1], "vace_in_channels": 6},
        dtype=torch.float32,
    ),
    entry("SkyReels V2", "SkyReelsV2Transformer3DModel", FILM, dtype=torch.float32),
    entry("ChronoEdit", "ChronoEditTransformer3DModel", FILM, dtype=torch.float32),
    entry(
        "AnyFlow",
        "AnyFlowTransformer3DModel",
        {
            **TEXT,
            "hidden_states": normal(1, 3, 4, 8, 8),
            "timestep": TIME.repeat(1, 3),
            "r_timestep": TIME.repeat(1, 3) - 100,
        },
        dtype=torch.float32,
    ),
    entry(
        "Helios",
        "HeliosTransformer3DModel",
        FILM,
        {"has_multi_term_memory_patch": False},
        dtype=torch.float32,
    ),
    entry("LTX", "LTXVideoTransformer3DModel", PACKED_FILM),
    entry(
        "LTX-2, film",
        "LTX2VideoTransformer3DModel",
        {
            **PACKED_FILM,
            "audio_hidden_states": normal(1, 5, 4),
            "audio_encoder_hidden_states": normal(1, N, 24).flip(1),
            "audio_num_frames": 5,
        },
    ),
    entry(
        "Cosmos",
        "CosmosTransformer3DModel",
        {**FILM, "attention_mask": MASK.bool()},
        {"extra_pos_embed_type": None, "concat_padding_mask": False},
    ),
    entry(
        "Bria FIBO 2",
        "BriaFibo2Transformer2DModel",
        {
            **IMAGE,
            **HALFWAY,
            "encoder_hidden_states": normal(1, 2, N, 20),
            "encoder_attention_mask": MASK.bool(),
        },
        {"cap_feat_dim": 20, "injection_layer_ids": (1,)},
        tokens={"encoder_hidden_states": 2, "encoder_attention_mask": 1},
    ),
    entry(
        "Stable Audio",
        "StableAudioDiTModel",
        {
            **SOUND,
            "global_hidden_states": normal(1, 1, 12),
            "rotary_embedding": (normal(9, 4).cos(), normal(9, 4).sin()),
            "return_dict": False,
        },
        {"attention_head_dim": 8, "cross_attention_dim": 16},
    ),
    entry(
        "Stable Audio 3",
        "StableAudio3DiTModel",
        {**SOUND, **MASKED, "global_hidden_states": normal(1, 12)},
    ),
    entry(
        "ACE-Step",
        "AceStepTransformer1DModel",
        {**WAVES, "timestep_r": torch.tensor([0.5]), "context_latents": normal(1, 8, 8)},
        {"in_channels": 12},
    ),
    entry(
        "LongCat Audio",
        "LongCatAudioDiTTransformer",
        {**WAVES, "encoder_attention_mask": torch.ones(1, N, dtype=torch.bool)},
        {"use_latent_condition": False},
        dtype=torch.float32,
        causes=(
            Cause("convolution along the text", set_attribute("text_conv", False)),
            Cause("rotary positions of the text tokens", _still_keys),
        ),
    ),
    entry(
        "aMUSEd",
        "UVit2DModel",
        {
            "input_ids": torch.arange(16).view(1, 4, 4),
            "encoder_hidden_states": normal(1, N, 24),
            "pooled_text_emb": normal(1, 8),
            "micro_conds": normal(1, 5),
        },
        MASKED_IMAGE,
    ),
    entry(
        "HunyuanDiT, T5 tokens",
        "HunyuanDiT2DModel",
        HUNYUAN_TEXTS,
        HUNYUAN_DIT,
        tokens={"encoder_hidden_states_t5": 1, "text_embedding_mask_t5": 1},
        dtype=torch.float32,
        causes=(Cause("position table of the pooler", NO_PLACES), SAME_PADDING),
        fixed_length=True,
    ),
    entry(
        "HunyuanDiT, BERT tokens",
        "HunyuanDiT2DModel",
        HUNYUAN_TEXTS,
        HUNYUAN_DIT,
        tokens={"encoder_hidden_states": 1, "text_embedding_mask": 1},
        dtype=torch.float32,
        causes=(SAME_PADDING,),
        fixed_length=True,
    ),
    entry(
        "Kandinsky 5",
        "Kandinsky5Transformer3DModel",
        {
            **KANDINSKY,
            "visual_rope_pos": [torch.arange(2), torch.arange(4), torch.arange(4)],
            "text_rope_pos": torch.arange,
        },
        dtype=torch.float32,
        causes=(STILL_TEXT,),
    ),
    entry(
        "Kandinsky 6",
        "Kandinsky6Transformer3DModel",
        {**KANDINSKY, "encoder_hidden_states": 3 * normal(1, N, 24)},
        {"visual_cond": False},
        dtype=torch.float32,
        causes=(STILL_TEXT,),
    ),
)
