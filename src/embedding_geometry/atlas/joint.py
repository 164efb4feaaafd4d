"""Transformers of joint attention whose text tokens carry no places of their own."""

import warnings
from typing import Any

import torch

from embedding_geometry.atlas.check import Backbone
from embedding_geometry.atlas.tiny import (
    FILM,
    GRID,
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

SD3 = {"pooled_projection_dim": 12, "pos_embed_max_size": 4}
COGVIEW = {"pos_embed_max_size": 8}
COGVIDEO = {"attention_head_dim": 16, "sample_frames": 9}
HIDREAM = {
    "patch_size": 2,
    "caption_channels": [24, 24],
    "text_emb_dim": 12,
    "num_routed_experts": 2,
    "num_activated_experts": 1,
    "max_resolution": (8, 8),
    "llama_layers": [0, 1, 0, 1],
    "force_inference_output": True,
}

HIDREAM_TEXTS = {
    "hidden_states": normal(1, 4, 8, 8),
    "timesteps": TIME,
    "encoder_hidden_states_t5": normal(1, N, 24),
    "encoder_hidden_states_llama3": normal(2, 1, N, 24),
    "pooled_embeds": normal(1, 12),
}
POOLED = {"pooled_projections": normal(1, 12)}
UNPADDED = {"encoder_attention_mask": torch.ones(1, N, dtype=torch.long)}  # padding must stay last
FRAMING = {
    "original_size": torch.tensor([[8.0, 8.0]]),
    "target_size": torch.tensor([[8.0, 8.0]]),
    "crop_coords": torch.tensor([[0.0, 0.0]]),
}


def origin(n: int) -> torch.Tensor:
    """Place every text token at the origin, as the pipelines of FLUX.1 and its kin do."""
    return torch.zeros(n, 3)


def _with_room_for_the_text(model: Any, inputs: dict[str, Any]) -> Any:
    """Call CogVideoX, whose position table has a zero for each text token, at this length."""
    n, patches = inputs["encoder_hidden_states"].shape[1], model.patch_embed.pos_embedding[:, -48:]
    nothing = patches.new_zeros(1, n, patches.shape[2])
    model.patch_embed.pos_embedding = torch.cat([nothing, patches], dim=1)
    return model(**inputs)


def _without_autocast_warning(model: Any, inputs: dict[str, Any]) -> Any:
    """Call Mochi, which asks for an automatic precision that a CPU does not have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="In CPU autocast")
        return model(**inputs)


PACKED = {
    **TEXT,
    "timestep": torch.tensor([0.5]),
    "hidden_states": normal(1, 9, 4),
    "img_ids": GRID,
    "txt_ids": origin,
}

JOINT_ATTENTION = (
    Backbone(
        "Stable Diffusion 3", Tiny("SD3Transformer2DModel", SD3), {**IMAGE, **POOLED}, TOKENS
    ),
    Backbone(
        "Stable Diffusion 3.5",
        Tiny(
            "SD3Transformer2DModel", {**SD3, "qk_norm": "rms_norm", "dual_attention_layers": (0,)}
        ),
        {**IMAGE, **POOLED},
        TOKENS,
    ),
    Backbone(
        "FLUX.1",
        Tiny("FluxTransformer2DModel", {"pooled_projection_dim": 12}),
        {**PACKED, **POOLED},
        TOKENS,
    ),
    Backbone(
        "Chroma",
        Tiny(
            "ChromaTransformer2DModel",
            {
                "approximator_num_channels": 8,
                "approximator_hidden_dim": 16,
                "approximator_layers": 2,
            },
        ),
        PACKED,
        TOKENS,
    ),
    Backbone("Bria", Tiny("BriaTransformer2DModel"), PACKED, TOKENS),
    Backbone(
        "Bria FIBO",
        Tiny("BriaFiboTransformer2DModel", {"text_encoder_dim": 20}),
        {**PACKED, "text_encoder_layers": normal(4, 1, N, 20)},
        {**TOKENS, "text_encoder_layers": 2},
    ),
    Backbone(
        "AuraFlow",
        Tiny(
            "AuraFlowTransformer2DModel",
            {"num_mmdit_layers": 2, "num_single_dit_layers": 2, "pos_embed_max_size": 16},
        ),
        IMAGE,
        TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "CogView3+", Tiny("CogView3PlusTransformer2DModel", COGVIEW), {**IMAGE, **FRAMING}, TOKENS
    ),
    Backbone(
        "CogView4",
        Tiny("CogView4Transformer2DModel", {**COGVIEW, "rope_axes_dim": (8, 8)}),
        {**IMAGE, **FRAMING, "attention_mask": MASK},
        {**TOKENS, "attention_mask": 1},
    ),
    Backbone(
        "GLM-Image",
        Tiny("GlmImageTransformer2DModel", {"prior_vq_quantizer_codebook_size": 32}),
        {
            **IMAGE,
            "prior_token_id": torch.arange(16)[None],
            "prior_token_drop": torch.zeros(1, 16, dtype=torch.bool),
            "target_size": torch.tensor([[8.0, 8.0]]),
            "crop_coords": torch.tensor([[0.0, 0.0]]),
        },
        TOKENS,
    ),
    Backbone(
        "CogVideoX 2B",
        Tiny("CogVideoXTransformer3DModel", COGVIDEO),
        {**TEXT, "hidden_states": normal(1, 3, 4, 8, 8)},
        TOKENS,
        call=_with_room_for_the_text,
    ),
    Backbone(
        "CogVideoX 5B",
        Tiny(
            "CogVideoXTransformer3DModel", {**COGVIDEO, "use_rotary_positional_embeddings": True}
        ),
        {
            **TEXT,
            "hidden_states": normal(1, 3, 4, 8, 8),
            "image_rotary_emb": (normal(48, 16).cos(), normal(48, 16).sin()),
        },
        TOKENS,
    ),
    Backbone(
        "ConsisID",
        Tiny("ConsisIDTransformer3DModel", COGVIDEO),
        {**TEXT, "hidden_states": normal(1, 3, 4, 8, 8)},
        TOKENS,
        call=_with_room_for_the_text,
    ),
    Backbone(
        "HunyuanVideo",
        Tiny("HunyuanVideoTransformer3DModel", {"pooled_projection_dim": 12}),
        {**FILM, **UNPADDED, **POOLED, "guidance": torch.tensor([6.0])},
        MASKED_TOKENS,
    ),
    Backbone(
        "HunyuanVideo FramePack",
        Tiny(
            "HunyuanVideoFramepackTransformer3DModel",
            {
                "pooled_projection_dim": 12,
                "has_image_proj": True,
                "image_proj_dim": 12,
                "has_clean_x_embedder": True,
            },
        ),
        {
            **FILM,
            **UNPADDED,
            **POOLED,
            "guidance": torch.tensor([6.0]),
            "image_embeds": normal(1, 2, 12),
            "indices_latents": torch.arange(3),
            "latents_clean": normal(1, 4, 1, 8, 8),
            "indices_latents_clean": torch.tensor([3]),
            "latents_history_2x": normal(1, 4, 2, 8, 8),
            "indices_latents_history_2x": torch.tensor([4, 5]),
            "latents_history_4x": normal(1, 4, 4, 8, 8),
            "indices_latents_history_4x": torch.tensor([6, 7, 8, 9]),
        },
        MASKED_TOKENS,
    ),
    Backbone(
        "HunyuanVideo 1.5",
        Tiny("HunyuanVideo15Transformer3DModel", {"text_embed_2_dim": 20, "image_embed_dim": 12}),
        {
            **FILM,
            **UNPADDED,
            "timestep": TIME.double(),
            "encoder_hidden_states_2": normal(1, 3, 20),
            "encoder_attention_mask_2": torch.ones(1, 3, dtype=torch.long),
            "image_embeds": normal(1, 2, 12),
        },
        MASKED_TOKENS,
    ),
    Backbone(
        "HunyuanImage 2.1",
        Tiny("HunyuanImageTransformer2DModel", {"rope_axes_dim": (6, 6)}),
        {**IMAGE, **UNPADDED, "timestep": TIME.double()},
        MASKED_TOKENS,
    ),
    Backbone(
        "HiDream, T5 tokens",
        Tiny("HiDreamImageTransformer2DModel", HIDREAM),
        HIDREAM_TEXTS,
        {"encoder_hidden_states_t5": 1},
    ),
    Backbone(
        "HiDream, Llama tokens",
        Tiny("HiDreamImageTransformer2DModel", HIDREAM),
        HIDREAM_TEXTS,
        {"encoder_hidden_states_llama3": 2},
    ),
    Backbone(
        "Mochi",
        Tiny(
            "MochiTransformer3DModel",
            {
                "patch_size": 2,
                "pooled_projection_dim": 24,
                "time_embed_dim": 8,
                "max_sequence_length": 16,
            },
        ),
        {**FILM, **UNPADDED},
        MASKED_TOKENS,
        call=_without_autocast_warning,
    ),
    Backbone(
        "EasyAnimate",
        Tiny(
            "EasyAnimateTransformer3DModel",
            {"attention_head_dim": 16, "patch_size": 2, "mmdit_layers": 2},
        ),
        FILM,
        TOKENS,
    ),
    Backbone(
        "JoyImage Edit",
        Tiny("JoyImageEditTransformer3DModel", {"rope_dim_list": [4, 4, 4]}),
        FILM,
        TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "JoyImage Edit+",
        Tiny("JoyImageEditPlusTransformer3DModel", {"rope_dim_list": [4, 4, 4]}),
        {
            **TEXT,
            "hidden_states": normal(1, 8, 4, 1, 2, 2),
            "encoder_hidden_states_mask": MASK,
            "shape_list": [[(2, 2, 2)]],
        },
        {**TOKENS, "encoder_hidden_states_mask": 1},
        dtype=torch.float32,
    ),
    Backbone(
        "Motif Video",
        Tiny("MotifVideoTransformer3DModel"),
        {**FILM, **MASKED},
        MASKED_TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "PRX",
        Tiny("PRXTransformer2DModel", {"depth": 1, "axes_dim": [6, 6]}),
        {**IMAGE, "attention_mask": MASK.bool()},
        {**TOKENS, "attention_mask": 1},
    ),
    Backbone(
        "Krea 2",
        Tiny(
            "Krea2Transformer2DModel",
            {
                "intermediate_size": 16,
                "timestep_embed_dim": 8,
                "text_hidden_dim": 24,
                "num_text_layers": 2,
                "text_num_attention_heads": 2,
                "text_num_key_value_heads": 2,
                "text_intermediate_size": 16,
                "num_layerwise_text_blocks": 2,
                "num_refiner_text_blocks": 2,
            },
        ),
        {
            "timestep": torch.tensor([0.5]),
            "hidden_states": normal(1, 9, 4),
            "encoder_hidden_states": normal(1, N, 2, 24),
            "encoder_attention_mask": MASK.bool(),
            "position_ids": lambda n: torch.cat([origin(n), GRID]),
        },
        MASKED_TOKENS,
        dtype=torch.float32,
    ),
)
