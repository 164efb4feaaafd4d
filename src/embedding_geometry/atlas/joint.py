"""Transformers of joint attention whose text tokens carry no places of their own."""

import warnings
from typing import Any

import torch

from embedding_geometry.atlas.check import Backbone
from embedding_geometry.atlas.tiny import MASK, TIME, N, Tiny, normal

TOKENS = {"encoder_hidden_states": 1}
MASKED_TOKENS = {**TOKENS, "encoder_attention_mask": 1}

HEADS = {"num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 2}
CHANNELS = {"in_channels": 4, "out_channels": 4}
SD3 = {
    **HEADS,
    **CHANNELS,
    "sample_size": 8,
    "joint_attention_dim": 24,
    "caption_projection_dim": 24,
    "pooled_projection_dim": 12,
    "pos_embed_max_size": 4,
}
FLUX = {
    **HEADS,
    "in_channels": 4,
    "num_single_layers": 2,
    "joint_attention_dim": 24,
    "axes_dims_rope": (4, 4, 4),
}
COGVIEW = {
    **HEADS,
    **CHANNELS,
    "text_embed_dim": 24,
    "time_embed_dim": 16,
    "condition_dim": 8,
    "pos_embed_max_size": 8,
    "sample_size": 8,
}
COGVIDEO = {
    **HEADS,
    **CHANNELS,
    "attention_head_dim": 16,
    "time_embed_dim": 16,
    "text_embed_dim": 24,
    "sample_width": 8,
    "sample_height": 8,
    "sample_frames": 9,
}
HUNYUAN = {
    **HEADS,
    **CHANNELS,
    "num_refiner_layers": 2,
    "text_embed_dim": 24,
    "rope_axes_dim": (4, 4, 4),
}
HIDREAM = {
    **HEADS,
    **CHANNELS,
    "patch_size": 2,
    "num_single_layers": 2,
    "caption_channels": [24, 24],
    "text_emb_dim": 12,
    "num_routed_experts": 2,
    "num_activated_experts": 1,
    "axes_dims_rope": (4, 4, 4),
    "max_resolution": (8, 8),
    "llama_layers": [0, 1, 0, 1],
    "force_inference_output": True,
}

GRID = torch.cartesian_prod(torch.arange(1), torch.arange(3), torch.arange(3)).double()
TEXT = {"timestep": TIME, "encoder_hidden_states": normal(1, N, 24)}
IMAGE = {**TEXT, "hidden_states": normal(1, 4, 8, 8)}
FILM = {**TEXT, "hidden_states": normal(1, 4, 3, 8, 8)}
POOLED = {"pooled_projections": normal(1, 12)}
MASKED = {"encoder_attention_mask": MASK}
UNPADDED = {"encoder_attention_mask": torch.ones(1, N, dtype=torch.long)}  # padding must stay last
SIZES = {
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
            "SD3Transformer2DModel",
            {**SD3, "qk_norm": "rms_norm", "dual_attention_layers": (0,)},
        ),
        {**IMAGE, **POOLED},
        TOKENS,
    ),
    Backbone(
        "FLUX.1",
        Tiny("FluxTransformer2DModel", {**FLUX, "pooled_projection_dim": 12}),
        {**PACKED, **POOLED},
        TOKENS,
    ),
    Backbone(
        "Chroma",
        Tiny(
            "ChromaTransformer2DModel",
            {
                **FLUX,
                "approximator_num_channels": 8,
                "approximator_hidden_dim": 16,
                "approximator_layers": 2,
            },
        ),
        PACKED,
        TOKENS,
    ),
    Backbone("Bria", Tiny("BriaTransformer2DModel", FLUX), PACKED, TOKENS),
    Backbone(
        "Bria FIBO",
        Tiny("BriaFiboTransformer2DModel", {**FLUX, "text_encoder_dim": 20}),
        {**PACKED, "text_encoder_layers": normal(4, 1, N, 20)},
        {**TOKENS, "text_encoder_layers": 2},
    ),
    Backbone(
        "AuraFlow",
        Tiny(
            "AuraFlowTransformer2DModel",
            {
                **CHANNELS,
                "sample_size": 8,
                "num_mmdit_layers": 2,
                "num_single_dit_layers": 2,
                "attention_head_dim": 12,
                "num_attention_heads": 2,
                "joint_attention_dim": 24,
                "caption_projection_dim": 24,
                "pos_embed_max_size": 16,
            },
        ),
        IMAGE,
        TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "CogView3+", Tiny("CogView3PlusTransformer2DModel", COGVIEW), {**IMAGE, **SIZES}, TOKENS
    ),
    Backbone(
        "CogView4",
        Tiny("CogView4Transformer2DModel", {**COGVIEW, "rope_axes_dim": (8, 8)}),
        {**IMAGE, **SIZES, "attention_mask": MASK},
        {**TOKENS, "attention_mask": 1},
    ),
    Backbone(
        "GLM-Image",
        Tiny(
            "GlmImageTransformer2DModel",
            {
                **HEADS,
                **CHANNELS,
                "text_embed_dim": 24,
                "time_embed_dim": 16,
                "condition_dim": 8,
                "num_layers": 2,
                "prior_vq_quantizer_codebook_size": 32,
            },
        ),
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
        Tiny(
            "HunyuanVideoTransformer3DModel",
            {**HUNYUAN, "num_single_layers": 2, "pooled_projection_dim": 12},
        ),
        {**FILM, **UNPADDED, **POOLED, "guidance": torch.tensor([6.0])},
        MASKED_TOKENS,
    ),
    Backbone(
        "HunyuanVideo FramePack",
        Tiny(
            "HunyuanVideoFramepackTransformer3DModel",
            {
                **HUNYUAN,
                "num_single_layers": 2,
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
        Tiny(
            "HunyuanVideo15Transformer3DModel",
            {**HUNYUAN, "text_embed_2_dim": 20, "image_embed_dim": 12},
        ),
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
        Tiny(
            "HunyuanImageTransformer2DModel",
            {**HUNYUAN, "num_single_layers": 2, "rope_axes_dim": (6, 6)},
        ),
        {**IMAGE, **UNPADDED, "timestep": TIME.double()},
        MASKED_TOKENS,
    ),
    Backbone(
        "HiDream, T5 tokens",
        Tiny("HiDreamImageTransformer2DModel", HIDREAM),
        {
            "hidden_states": normal(1, 4, 8, 8),
            "timesteps": TIME,
            "encoder_hidden_states_t5": normal(1, N, 24),
            "encoder_hidden_states_llama3": normal(2, 1, N, 24),
            "pooled_embeds": normal(1, 12),
        },
        {"encoder_hidden_states_t5": 1},
    ),
    Backbone(
        "HiDream, Llama tokens",
        Tiny("HiDreamImageTransformer2DModel", HIDREAM),
        {
            "hidden_states": normal(1, 4, 8, 8),
            "timesteps": TIME,
            "encoder_hidden_states_t5": normal(1, N, 24),
            "encoder_hidden_states_llama3": normal(2, 1, N, 24),
            "pooled_embeds": normal(1, 12),
        },
        {"encoder_hidden_states_llama3": 2},
    ),
    Backbone(
        "Mochi",
        Tiny(
            "MochiTransformer3DModel",
            {
                **HEADS,
                "patch_size": 2,
                "num_layers": 2,
                "pooled_projection_dim": 24,
                "in_channels": 4,
                "text_embed_dim": 24,
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
            {
                **HEADS,
                **CHANNELS,
                "attention_head_dim": 16,
                "patch_size": 2,
                "sample_width": 8,
                "sample_height": 8,
                "mmdit_layers": 2,
                "num_layers": 2,
                "time_embed_dim": 16,
                "text_embed_dim": 24,
            },
        ),
        FILM,
        TOKENS,
    ),
    Backbone(
        "JoyImage Edit",
        Tiny(
            "JoyImageEditTransformer3DModel",
            {
                **CHANNELS,
                "hidden_size": 24,
                "num_attention_heads": 2,
                "text_dim": 24,
                "num_layers": 2,
                "rope_dim_list": [4, 4, 4],
            },
        ),
        FILM,
        TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "JoyImage Edit+",
        Tiny(
            "JoyImageEditPlusTransformer3DModel",
            {
                **CHANNELS,
                "hidden_size": 24,
                "num_attention_heads": 2,
                "text_dim": 24,
                "num_layers": 2,
                "rope_dim_list": [4, 4, 4],
            },
        ),
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
        Tiny(
            "MotifVideoTransformer3DModel",
            {
                **HEADS,
                **CHANNELS,
                "num_single_layers": 2,
                "text_embed_dim": 24,
                "rope_axes_dim": (4, 4, 4),
            },
        ),
        {**FILM, **MASKED},
        MASKED_TOKENS,
        dtype=torch.float32,
    ),
    Backbone(
        "PRX",
        Tiny(
            "PRXTransformer2DModel",
            {
                "in_channels": 4,
                "context_in_dim": 24,
                "hidden_size": 24,
                "num_heads": 2,
                "depth": 1,
                "axes_dim": [6, 6],
            },
        ),
        {**IMAGE, "attention_mask": MASK.bool()},
        {**TOKENS, "attention_mask": 1},
    ),
    Backbone(
        "Krea 2",
        Tiny(
            "Krea2Transformer2DModel",
            {
                **HEADS,
                "in_channels": 4,
                "num_key_value_heads": 2,
                "intermediate_size": 16,
                "timestep_embed_dim": 8,
                "text_hidden_dim": 24,
                "num_text_layers": 2,
                "text_num_attention_heads": 2,
                "text_num_key_value_heads": 2,
                "text_intermediate_size": 16,
                "num_layerwise_text_blocks": 2,
                "num_refiner_text_blocks": 2,
                "axes_dims_rope": (4, 4, 4),
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
