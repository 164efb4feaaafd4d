"""Transformers of joint attention whose text tokens carry no places of their own."""

import warnings
from typing import Any

import torch

from embedding_geometry.atlas.tiny import (
    FILM,
    GRID,
    HALFWAY,
    IMAGE,
    MASK,
    MASKED,
    PACKED,
    POOLED,
    TEXT,
    TIME,
    UNPADDED,
    N,
    entry,
    normal,
)

POOLING = {"pooled_projection_dim": 12}
SD3 = {**POOLING, "pos_embed_max_size": 4}
HIDREAM = {
    "patch_size": 2,
    "caption_channels": [24, 24],
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
CROPPED = {
    **IMAGE,
    "target_size": torch.tensor([[8.0, 8.0]]),
    "crop_coords": torch.tensor([[0.0, 0.0]]),
}
RESIZED = {**CROPPED, "original_size": torch.tensor([[8.0, 8.0]])}
FRAMES_FIRST = {**TEXT, "hidden_states": normal(1, 3, 4, 8, 8)}
# UNPADDED, for padding would have to stay last
HUNYUAN_VIDEO = {**FILM, **UNPADDED, **POOLED, "guidance": torch.tensor([6.0])}


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


PLACED = {**PACKED, "img_ids": GRID, "txt_ids": origin}

JOINT_ATTENTION = (
    entry("Stable Diffusion 3", "SD3Transformer2DModel", {**IMAGE, **POOLED}, SD3),
    entry(
        "Stable Diffusion 3.5",
        "SD3Transformer2DModel",
        {**IMAGE, **POOLED},
        {**SD3, "qk_norm": "rms_norm", "dual_attention_layers": (0,)},
    ),
    entry("FLUX.1", "FluxTransformer2DModel", {**PLACED, **POOLED}, POOLING),
    entry("Chroma", "ChromaTransformer2DModel", PLACED),
    entry("Bria", "BriaTransformer2DModel", PLACED),
    entry(
        "Bria FIBO",
        "BriaFiboTransformer2DModel",
        {**PLACED, "text_encoder_layers": normal(4, 1, N, 20)},
        tokens={"encoder_hidden_states": 1, "text_encoder_layers": 2},
    ),
    entry(
        "AuraFlow",
        "AuraFlowTransformer2DModel",
        IMAGE,
        {"pos_embed_max_size": 16},
        dtype=torch.float32,
    ),
    entry("CogView3+", "CogView3PlusTransformer2DModel", RESIZED),
    entry(
        "CogView4",
        "CogView4Transformer2DModel",
        {**RESIZED, "attention_mask": MASK},
        {"rope_axes_dim": (8, 8)},
    ),
    entry(
        "GLM-Image",
        "GlmImageTransformer2DModel",
        {
            **CROPPED,
            "prior_token_id": torch.arange(16)[None],
            "prior_token_drop": torch.zeros(1, 16, dtype=torch.bool),
        },
    ),
    entry(
        "CogVideoX 2B",
        "CogVideoXTransformer3DModel",
        FRAMES_FIRST,
        {"attention_head_dim": 16},
        call=_with_room_for_the_text,
    ),
    entry(
        "CogVideoX 5B",
        "CogVideoXTransformer3DModel",
        {**FRAMES_FIRST, "image_rotary_emb": (normal(48, 16).cos(), normal(48, 16).sin())},
        {"attention_head_dim": 16, "use_rotary_positional_embeddings": True},
    ),
    entry(
        "ConsisID",
        "ConsisIDTransformer3DModel",
        FRAMES_FIRST,
        {"attention_head_dim": 16},
        call=_with_room_for_the_text,
    ),
    entry("HunyuanVideo", "HunyuanVideoTransformer3DModel", HUNYUAN_VIDEO, POOLING),
    entry(
        "HunyuanVideo FramePack",
        "HunyuanVideoFramepackTransformer3DModel",
        {
            **HUNYUAN_VIDEO,
            "image_embeds": normal(1, 2, 12),
            "indices_latents": torch.arange(3),
            "latents_clean": normal(1, 4, 1, 8, 8),
            "indices_latents_clean": torch.tensor([3]),
            "latents_history_2x": normal(1, 4, 2, 8, 8),
            "indices_latents_history_2x": torch.tensor([4, 5]),
            "latents_history_4x": normal(1, 4, 4, 8, 8),
            "indices_latents_history_4x": torch.tensor([6, 7, 8, 9]),
        },
        {**POOLING, "has_image_proj": True, "has_clean_x_embedder": True},
    ),
    entry(
        "HunyuanVideo 1.5",
        "HunyuanVideo15Transformer3DModel",
        {
            **FILM,
            **UNPADDED,
            "timestep": TIME.double(),
            "encoder_hidden_states_2": normal(1, 3, 20),
            "encoder_attention_mask_2": torch.ones(1, 3, dtype=torch.long),
            "image_embeds": normal(1, 2, 12),
        },
        {"text_embed_2_dim": 20, "image_embed_dim": 12},
    ),
    entry(
        "HunyuanImage 2.1",
        "HunyuanImageTransformer2DModel",
        {**IMAGE, **UNPADDED, "timestep": TIME.double()},
        {"rope_axes_dim": (6, 6)},
    ),
    entry(
        "HiDream, T5 tokens",
        "HiDreamImageTransformer2DModel",
        HIDREAM_TEXTS,
        HIDREAM,
        tokens={"encoder_hidden_states_t5": 1},
    ),
    entry(
        "HiDream, Llama tokens",
        "HiDreamImageTransformer2DModel",
        HIDREAM_TEXTS,
        HIDREAM,
        tokens={"encoder_hidden_states_llama3": 2},
    ),
    entry(
        "Mochi",
        "MochiTransformer3DModel",
        {**FILM, **UNPADDED},
        {"patch_size": 2, "pooled_projection_dim": 24, "time_embed_dim": 8},
        call=_without_autocast_warning,
    ),
    entry(
        "EasyAnimate",
        "EasyAnimateTransformer3DModel",
        FILM,
        {"attention_head_dim": 16, "patch_size": 2},
    ),
    entry("JoyImage Edit", "JoyImageEditTransformer3DModel", FILM, dtype=torch.float32),
    entry(
        "JoyImage Edit+",
        "JoyImageEditPlusTransformer3DModel",
        {
            **TEXT,
            "hidden_states": normal(1, 8, 4, 1, 2, 2),
            "encoder_hidden_states_mask": MASK,
            "shape_list": [[(2, 2, 2)]],
        },
        dtype=torch.float32,
    ),
    entry("Motif Video", "MotifVideoTransformer3DModel", {**FILM, **MASKED}, dtype=torch.float32),
    entry("PRX", "PRXTransformer2DModel", {**IMAGE, "attention_mask": MASK.bool()}),
    entry(
        "Krea 2",
        "Krea2Transformer2DModel",
        {
            **HALFWAY,
            "hidden_states": normal(1, 9, 4),
            "encoder_hidden_states": normal(1, N, 2, 24),
            "encoder_attention_mask": MASK.bool(),
            "position_ids": lambda n: torch.cat([origin(n), GRID]),
        },
        {"intermediate_size": 16},
        dtype=torch.float32,
    ),
)
