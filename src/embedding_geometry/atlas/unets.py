"""UNets: the text comes in through cross-attention blocks."""

import torch

from embedding_geometry.atlas.tiny import MASK, MASKED, TEXT, N, entry, normal

HEADS = {"attention_head_dim": 8, "num_attention_heads": None}  # they refuse the latter


def u_shape(*down: str) -> dict[str, tuple[str, ...]]:
    """Blocks that lead down, and those that lead up again, in reverse order."""
    up = tuple(block.replace("Down", "Up") for block in reversed(down))
    return {"down_block_types": down, "up_block_types": up}


FLAT = {**HEADS, **u_shape("CrossAttnDownBlock2D", "DownBlock2D")}
SDXL = {
    **FLAT,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 12 + 6 * 4,
}
PIXELS = {
    **HEADS,
    **u_shape("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "resnet_time_scale_shift": "scale_shift",
    "encoder_hid_dim": 24,
}
VIDEO = {**HEADS, **u_shape("CrossAttnDownBlock3D", "DownBlock3D")}
MOTION = u_shape("CrossAttnDownBlockMotion", "DownBlockMotion")
CASCADE = {
    "block_out_channels": (16,),
    "num_attention_heads": (2,),
    "block_types_per_layer": (
        ("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"),
    ),
    "dropout": (0.0,),
    "self_attn": True,
    "switch_level": (False,),
}

IMAGE = {**TEXT, "sample": normal(1, 4, 16, 16)}
PADDED = {**IMAGE, **MASKED}
CLIP = {**TEXT, "sample": normal(1, 4, 3, 16, 16)}
CONDITIONS = {"added_cond_kwargs": {"text_embeds": normal(1, 12), "time_ids": normal(1, 6)}}
IMAGINED = {"added_cond_kwargs": {"text_embeds": normal(1, 24), "image_embeds": normal(1, 24)}}


UNETS = (
    entry("Stable Diffusion 1", "UNet2DConditionModel", PADDED, FLAT),
    entry(
        "Stable Diffusion 2",
        "UNet2DConditionModel",
        PADDED,
        {**FLAT, "attention_head_dim": (2, 4), "use_linear_projection": True},
    ),
    entry(
        "Stable Diffusion XL",
        "UNet2DConditionModel",
        {**PADDED, **CONDITIONS},
        {**SDXL, "transformer_layers_per_block": (2, 1)},
    ),
    entry(
        "Kolors",
        "UNet2DConditionModel",
        {**PADDED, **CONDITIONS, "encoder_hidden_states": normal(1, N, 20)},
        {**SDXL, "encoder_hid_dim": 20, "encoder_hid_dim_type": "text_proj"},
    ),
    entry(
        "Kandinsky 2.1",
        "UNet2DConditionModel",
        {**IMAGE, **IMAGINED},
        {**PIXELS, "encoder_hid_dim_type": "text_image_proj", "addition_embed_type": "text_image"},
    ),
    entry(
        "Kandinsky 3",
        "Kandinsky3UNet",
        PADDED,
        {
            "time_embedding_dim": 16,
            "groups": 4,
            "attention_head_dim": 8,
            "layers_per_block": 3,
            "block_out_channels": (8, 16, 16, 16),
            "cross_attention_dim": 16,
            "encoder_hid_dim": 24,
        },
    ),
    entry(
        "DeepFloyd IF",
        "UNet2DConditionModel",
        IMAGE,
        {
            **PIXELS,
            "encoder_hid_dim_type": "text_proj",
            "addition_embed_type": "text",
            "addition_embed_type_num_heads": 2,
        },
        dtype=torch.float32,
    ),
    entry("ModelScope", "UNet3DConditionModel", CLIP, VIDEO),
    entry(
        "I2VGen-XL",
        "I2VGenXLUNet",
        {
            **CLIP,
            "fps": torch.tensor([8]),
            "image_latents": normal(1, 4, 3, 16, 16),
            "image_embeddings": normal(1, 24),
        },
        VIDEO,
    ),
    entry(
        "AnimateDiff",
        "UNetMotionModel",
        {**CLIP, "encoder_hidden_states": normal(3, N, 24)},  # a text for each frame
        MOTION,
    ),
    entry(
        "Stable Cascade, prior",
        "StableCascadeUNet",
        {
            "sample": normal(1, 4, 8, 8),
            "timestep_ratio": torch.tensor([0.5]),
            "clip_text_pooled": normal(1, 1, 12),
            "clip_text": normal(1, N, 24),
            "clip_img": normal(1, 1, 12),
        },
        CASCADE,
        tokens={"clip_text": 1},
    ),
    entry(
        "AudioLDM 2, T5 tokens",
        "AudioLDM2UNet2DConditionModel",
        {
            **IMAGE,
            "encoder_hidden_states": normal(1, 3, 20),
            "encoder_attention_mask": torch.ones(1, 3),
            "encoder_hidden_states_1": normal(1, N, 24),
            "encoder_attention_mask_1": MASK,
        },
        {**FLAT, "cross_attention_dim": ([None, 20, 24], [None, 20, 24])},
        tokens={"encoder_hidden_states_1": 1, "encoder_attention_mask_1": 1},
    ),
    entry(
        "DreamLite",
        "DreamLiteUNetModel",
        PADDED,
        {
            **HEADS,
            "down_block_types": (
                "DreamLiteCrossAttnNoSelfAttnDownBlock2D",
                "DreamLiteCrossAttnDownBlock2D",
            ),
            "up_block_types": ("DreamLiteCrossAttnUpBlock2D", "DreamLiteUpBlock2D"),
        },
    ),
)
