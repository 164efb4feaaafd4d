"""Transformers in which the picture, film or sound asks the text through cross-attention."""

from typing import Any

import torch
from torch import nn

from embedding_geometry.atlas.check import Backbone, Cause
from embedding_geometry.atlas.tiny import (
    FILM,
    IMAGE,
    MASK,
    MASKED,
    MASKED_TOKENS,
    TEXT,
    TIME,
    TOKENS,
    N,
    Tiny,
    normal,
)

LTX2 = {
    "audio_out_channels": 4,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 8,
    "audio_cross_attention_dim": 16,
}
HUNYUAN_DIT = {
    "patch_size": 2,
    "cross_attention_dim_t5": 24,
    "pooled_projection_dim": 16,
    "text_len": N,
    "text_len_t5": N,
    "use_style_cond_and_image_meta_size": False,
}
KANDINSKY_5 = {
    "in_visual_dim": 4,
    "out_visual_dim": 4,
    "in_text_dim": 24,
    "in_text_dim2": 12,
    "time_dim": 16,
    "model_dim": 24,
    "ff_dim": 32,
    "num_text_blocks": 2,
    "num_visual_blocks": 2,
}
MASKED_IMAGE = {
    "hidden_size": 16,
    "cond_embed_dim": 8,
    "micro_cond_encode_dim": 4,
    "micro_cond_embed_dim": 20,
    "encoder_hidden_size": 24,
    "codebook_size": 32,
    "in_channels": 16,
    "block_out_channels": 16,
    "num_res_blocks": 1,
    "block_num_heads": 2,
    "intermediate_size": 16,
}

SOUND = {**TEXT, "hidden_states": normal(1, 4, 8)}
HUNYUAN_TEXTS = {
    "hidden_states": normal(1, 4, 8, 8),
    "timestep": TIME.double(),
    "encoder_hidden_states": normal(1, N, 24),
    "text_embedding_mask": MASK,
    "encoder_hidden_states_t5": normal(1, N, 24).flip(1),
    "text_embedding_mask_t5": MASK,
}


def _free_the_padding(model: Any, inputs: dict[str, Any]) -> None:
    """Give every place of HunyuanDiT the same padding vector."""
    first = model.text_embedding_padding[:1]
    model.text_embedding_padding = nn.Parameter(first.clone(), requires_grad=False)


def _pool_without_places(model: Any, inputs: dict[str, Any]) -> None:
    """Give HunyuanDiT's pooler no positions."""
    pooler = model.time_extra_emb.pooler
    pooler.positional_embedding = nn.Parameter(torch.zeros(1, 24), requires_grad=False)


def _still_the_text_rotation(model: Any, inputs: dict[str, Any]) -> None:
    """Turn the rotary angles of Kandinsky's text encoders to zero."""
    for name, angles in model.named_buffers():
        if "text_rope_embeddings" in name:
            angles.zero_()


def _text_without_neighbours(model: Any, inputs: dict[str, Any]) -> None:
    """Take the convolution along the text out of LongCat."""
    model.text_conv = False


def _still_keys(model: Any, inputs: dict[str, Any]) -> None:
    """Make the rotation of LongCat's text keys the identity."""
    for block in model.blocks:
        block.register_forward_pre_hook(_without_cond_rope, with_kwargs=True)


def _without_cond_rope(
    block: nn.Module, states: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Hand a block cosine 1 and sine 0 as the rotation of its text."""
    cos, sin = options["cond_rope"]
    return states, {**options, "cond_rope": (torch.ones_like(cos), torch.zeros_like(sin))}


CROSS_ATTENTION = (
    Backbone(
        "PixArt-α, PixArt-Σ",
        Tiny(
            "PixArtTransformer2DModel",
            {"out_channels": 8, "use_additional_conditions": False, "norm_num_groups": 4},
        ),
        {**IMAGE, **MASKED, "added_cond_kwargs": {"resolution": None, "aspect_ratio": None}},
        MASKED_TOKENS,
    ),
    Backbone("Sana", Tiny("SanaTransformer2DModel"), {**IMAGE, **MASKED}, MASKED_TOKENS),
    Backbone("Sana Video", Tiny("SanaVideoTransformer3DModel"), {**FILM, **MASKED}, MASKED_TOKENS),
    Backbone(
        "Lumina-Next",
        Tiny("LuminaNextDiT2DModel", {"hidden_size": 32, "num_kv_heads": 2}),
        {
            **IMAGE,
            "encoder_mask": MASK,
            "image_rotary_emb": torch.polar(torch.ones(4, 4, 8), normal(4, 4, 8).float()),
            "cross_attention_kwargs": {},
        },
        {**TOKENS, "encoder_mask": 1},
        dtype=torch.float32,
    ),
    Backbone(
        "Latte",
        Tiny(
            "LatteTransformer3DModel",
            {
                "patch_size": 2,
                "num_embeds_ada_norm": 1000,
                "norm_type": "ada_norm_single",
                "norm_elementwise_affine": False,
                "video_length": 3,
            },
        ),
        FILM,
        TOKENS,
    ),
    Backbone(
        "Allegro",
        Tiny("AllegroTransformer3DModel", {"sample_frames": 3}),
        {**FILM, **MASKED},
        MASKED_TOKENS,
    ),
    Backbone("Wan", Tiny("WanTransformer3DModel"), FILM, TOKENS, dtype=torch.float32),
    Backbone(
        "Wan VACE",
        Tiny("WanVACETransformer3DModel", {"vace_layers": [0, 1], "vace_in_channels": 6}),
        {**FILM, "control_hidden_states": normal(1, 6, 3, 8, 8)},
        TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "SkyReels V2", Tiny("SkyReelsV2Transformer3DModel"), FILM, TOKENS, dtype=torch.float32
    ),
    Backbone(
        "ChronoEdit",
        Tiny("ChronoEditTransformer3DModel", {"rope_temporal_skip_len": 8}),
        FILM,
        TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "AnyFlow",
        Tiny("AnyFlowTransformer3DModel"),
        {
            **FILM,
            "hidden_states": normal(1, 3, 4, 8, 8),
            "timestep": TIME.repeat(1, 3),
            "r_timestep": TIME.repeat(1, 3) - 100,
        },
        TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "Helios",
        Tiny(
            "HeliosTransformer3DModel",
            {"rope_dim": (4, 4, 4), "has_multi_term_memory_patch": False},
        ),
        FILM,
        TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "LTX",
        Tiny("LTXVideoTransformer3DModel"),
        {
            **TEXT,
            **MASKED,
            "hidden_states": normal(1, 8, 4),
            "num_frames": 2,
            "height": 2,
            "width": 2,
        },
        MASKED_TOKENS,
    ),
    Backbone(
        "LTX-2, film",
        Tiny("LTX2VideoTransformer3DModel", LTX2),
        {
            **TEXT,
            **MASKED,
            "hidden_states": normal(1, 8, 4),
            "audio_hidden_states": normal(1, 5, 4),
            "audio_encoder_hidden_states": normal(1, N, 24).flip(1),
            "num_frames": 2,
            "height": 2,
            "width": 2,
            "audio_num_frames": 5,
        },
        MASKED_TOKENS,
    ),
    Backbone(
        "Cosmos",
        Tiny(
            "CosmosTransformer3DModel",
            {
                "adaln_lora_dim": 4,
                "max_size": (4, 8, 8),
                "extra_pos_embed_type": None,
                "concat_padding_mask": False,
            },
        ),
        {**FILM, "attention_mask": MASK.bool()},
        {**TOKENS, "attention_mask": 1},
    ),
    Backbone(
        "Bria FIBO 2",
        Tiny(
            "BriaFibo2Transformer2DModel",
            {
                "cap_feat_dim": 20,
                "injection_layer_ids": (1,),
                "perceiver_num_layers": 2,
                "min_num_gist_tokens": 2,
                "max_num_gist_tokens": 4,
                "gist_step": 2,
                "axes_lens": (32, 8, 8),
            },
        ),
        {
            "hidden_states": normal(1, 4, 8, 8),
            "timestep": torch.tensor([0.5]),
            "encoder_hidden_states": normal(1, 2, N, 20),
            "encoder_attention_mask": MASK.bool(),
        },
        {"encoder_hidden_states": 2, "encoder_attention_mask": 1},
    ),
    Backbone(
        "Stable Audio",
        Tiny(
            "StableAudioDiTModel",
            {
                "attention_head_dim": 8,
                "num_key_value_attention_heads": 2,
                "cross_attention_dim": 16,
                "time_proj_dim": 8,
                "global_states_input_dim": 12,
                "cross_attention_input_dim": 24,
            },
        ),
        {
            **SOUND,
            "global_hidden_states": normal(1, 1, 12),
            "rotary_embedding": (normal(9, 4).cos(), normal(9, 4).sin()),
            "return_dict": False,
        },
        TOKENS,
    ),
    Backbone(
        "Stable Audio 3",
        Tiny(
            "StableAudio3DiTModel",
            {
                "io_channels": 4,
                "embed_dim": 32,
                "depth": 1,
                "cond_token_dim": 24,
                "global_cond_dim": 12,
                "timestep_features_dim": 8,
                "num_memory_tokens": 2,
            },
        ),
        {**SOUND, **MASKED, "global_hidden_states": normal(1, 12)},
        MASKED_TOKENS,
    ),
    Backbone(
        "ACE-Step",
        Tiny(
            "AceStepTransformer1DModel",
            {
                "head_dim": 12,
                "in_channels": 12,
                "audio_acoustic_hidden_dim": 4,
                "sliding_window": 4,
            },
        ),
        {
            **TEXT,
            "hidden_states": normal(1, 8, 4),
            "timestep": torch.tensor([0.5]),
            "timestep_r": torch.tensor([0.5]),
            "context_latents": normal(1, 8, 8),
        },
        TOKENS,
    ),
    Backbone(
        "LongCat Audio",
        Tiny(
            "LongCatAudioDiTTransformer",
            {
                "dit_dim": 24,
                "dit_depth": 1,
                "dit_heads": 2,
                "dit_text_dim": 24,
                "latent_dim": 4,
                "use_latent_condition": False,
            },
        ),
        {
            **TEXT,
            "hidden_states": normal(1, 8, 4),
            "timestep": torch.tensor([0.5]),
            "encoder_attention_mask": torch.ones(1, N, dtype=torch.bool),
        },
        MASKED_TOKENS,
        dtype=torch.float32,
        causes=(
            Cause("convolution along the text", _text_without_neighbours),
            Cause("rotary positions of the text tokens", _still_keys),
        ),
    ),
    Backbone(
        "aMUSEd",
        Tiny("UVit2DModel", MASKED_IMAGE),
        {
            "input_ids": torch.arange(16).view(1, 4, 4),
            "encoder_hidden_states": normal(1, N, 24),
            "pooled_text_emb": normal(1, 8),
            "micro_conds": normal(1, 5),
        },
        TOKENS,
    ),
    Backbone(
        "HunyuanDiT, T5 tokens",
        Tiny("HunyuanDiT2DModel", HUNYUAN_DIT),
        HUNYUAN_TEXTS,
        {"encoder_hidden_states_t5": 1, "text_embedding_mask_t5": 1},
        dtype=torch.float32,
        causes=(
            Cause("position table of the pooler", _pool_without_places),
            Cause("a padding vector per place", _free_the_padding),
        ),
        fixed_length=True,
    ),
    Backbone(
        "HunyuanDiT, BERT tokens",
        Tiny("HunyuanDiT2DModel", HUNYUAN_DIT),
        HUNYUAN_TEXTS,
        {"encoder_hidden_states": 1, "text_embedding_mask": 1},
        dtype=torch.float32,
        causes=(Cause("a padding vector per place", _free_the_padding),),
        fixed_length=True,
    ),
    Backbone(
        "Kandinsky 5",
        Tiny("Kandinsky5Transformer3DModel", KANDINSKY_5),
        {
            **TEXT,
            "hidden_states": normal(1, 2, 8, 8, 4),
            "pooled_projections": normal(1, 12),
            "visual_rope_pos": [torch.arange(2), torch.arange(4), torch.arange(4)],
            "text_rope_pos": torch.arange,
        },
        TOKENS,
        dtype=torch.float32,
        causes=(Cause("rotary positions in the text encoder", _still_the_text_rotation),),
    ),
    Backbone(
        "Kandinsky 6",
        Tiny(
            "Kandinsky6Transformer3DModel",
            {**KANDINSKY_5, "visual_cond": False, "in_audio_dim": 4, "out_audio_dim": 4},
        ),
        {
            **TEXT,
            "encoder_hidden_states": 3 * normal(1, N, 24),
            "hidden_states": normal(1, 2, 8, 8, 4),
            "pooled_projections": normal(1, 12),
        },
        TOKENS,
        dtype=torch.float32,
        causes=(Cause("rotary positions in the text encoder", _still_the_text_rotation),),
    ),
)
