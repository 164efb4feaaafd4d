"""UNets: the text comes in through cross-attention blocks."""

import torch

from embedding_geometry.atlas.check import Backbone
from embedding_geometry.atlas.tiny import MASK, MASKED_TOKENS, TIME, TOKENS, N, Tiny, normal

HEADS = {"attention_head_dim": 8, "num_attention_heads": None}  # they refuse the latter
FLAT = {
    **HEADS,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
SDXL = {
    **FLAT,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 12 + 6 * 4,
}
PIXELS = {
    **HEADS,
    "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
    "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "resnet_time_scale_shift": "scale_shift",
}
VIDEO = {
    **HEADS,
    "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
    "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
}
MOTION = {
    "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
    "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"),
    "motion_num_attention_heads": 2,
}
CASCADE = {
    "timestep_ratio_embedding_dim": 8,
    "conditioning_dim": 16,
    "block_out_channels": (16,),
    "num_attention_heads": (2,),
    "down_num_layers_per_block": (1,),
    "up_num_layers_per_block": (1,),
    "down_blocks_repeat_mappers": (1,),
    "up_blocks_repeat_mappers": (1,),
    "block_types_per_layer": (
        ("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"),
    ),
    "clip_text_in_channels": 24,
    "clip_text_pooled_in_channels": 12,
    "clip_image_in_channels": 12,
    "clip_seq": 2,
    "dropout": (0.0,),
    "self_attn": True,
    "switch_level": (False,),
}

IMAGE = {
    "sample": normal(1, 4, 16, 16),
    "timestep": TIME,
    "encoder_hidden_states": normal(1, N, 24),
}
MASKED = {**IMAGE, "encoder_attention_mask": MASK}
CLIP = {
    "sample": normal(1, 4, 3, 16, 16),
    "timestep": TIME,
    "encoder_hidden_states": normal(1, N, 24),
}
CONDITIONS = {"added_cond_kwargs": {"text_embeds": normal(1, 12), "time_ids": normal(1, 6)}}


UNETS = (
    Backbone("Stable Diffusion 1", Tiny("UNet2DConditionModel", FLAT), MASKED, MASKED_TOKENS),
    Backbone(
        "Stable Diffusion 2",
        Tiny(
            "UNet2DConditionModel",
            {**FLAT, "attention_head_dim": (2, 4), "use_linear_projection": True},
        ),
        MASKED,
        MASKED_TOKENS,
    ),
    Backbone(
        "Stable Diffusion XL",
        Tiny("UNet2DConditionModel", {**SDXL, "transformer_layers_per_block": (2, 1)}),
        {**MASKED, **CONDITIONS},
        MASKED_TOKENS,
    ),
    Backbone(
        "Kolors",
        Tiny(
            "UNet2DConditionModel",
            {**SDXL, "encoder_hid_dim": 20, "encoder_hid_dim_type": "text_proj"},
        ),
        {**MASKED, **CONDITIONS, "encoder_hidden_states": normal(1, N, 20)},
        MASKED_TOKENS,
    ),
    Backbone(
        "Kandinsky 2.1",
        Tiny(
            "UNet2DConditionModel",
            {
                **PIXELS,
                "encoder_hid_dim": 24,
                "encoder_hid_dim_type": "text_image_proj",
                "addition_embed_type": "text_image",
            },
        ),
        {
            **IMAGE,
            "added_cond_kwargs": {"text_embeds": normal(1, 24), "image_embeds": normal(1, 24)},
        },
        TOKENS,
    ),
    Backbone(
        "Kandinsky 3",
        Tiny(
            "Kandinsky3UNet",
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
        MASKED,
        MASKED_TOKENS,
    ),
    Backbone(
        "DeepFloyd IF",
        Tiny(
            "UNet2DConditionModel",
            {
                **PIXELS,
                "encoder_hid_dim": 24,
                "encoder_hid_dim_type": "text_proj",
                "addition_embed_type": "text",
                "addition_embed_type_num_heads": 2,
            },
        ),
        IMAGE,
        TOKENS,
        dtype=torch.float32,
    ),
    Backbone("ModelScope", Tiny("UNet3DConditionModel", VIDEO), CLIP, TOKENS),
    Backbone(
        "I2VGen-XL",
        Tiny("I2VGenXLUNet", VIDEO),
        {
            **CLIP,
            "fps": torch.tensor([8]),
            "image_latents": normal(1, 4, 3, 16, 16),
            "image_embeddings": normal(1, 24),
        },
        TOKENS,
    ),
    Backbone(
        "AnimateDiff",
        Tiny("UNetMotionModel", MOTION),
        {**CLIP, "encoder_hidden_states": normal(3, N, 24)},  # a text for each frame
        TOKENS,
    ),
    Backbone(
        "Stable Cascade, prior",
        Tiny("StableCascadeUNet", CASCADE),
        {
            "sample": normal(1, 4, 8, 8),
            "timestep_ratio": torch.tensor([0.5]),
            "clip_text_pooled": normal(1, 1, 12),
            "clip_text": normal(1, N, 24),
            "clip_img": normal(1, 1, 12),
        },
        {"clip_text": 1},
    ),
    Backbone(
        "AudioLDM 2, T5 tokens",
        Tiny(
            "AudioLDM2UNet2DConditionModel",
            {**FLAT, "cross_attention_dim": ([None, 20, 24], [None, 20, 24])},
        ),
        {
            **MASKED,
            "encoder_hidden_states": normal(1, 3, 20),
            "encoder_attention_mask": torch.ones(1, 3),
            "encoder_hidden_states_1": normal(1, N, 24),
            "encoder_attention_mask_1": MASK,
        },
        {"encoder_hidden_states_1": 1, "encoder_attention_mask_1": 1},
    ),
    Backbone(
        "DreamLite",
        Tiny(
            "DreamLiteUNetModel",
            {
                **HEADS,
                "down_block_types": (
                    "DreamLiteCrossAttnNoSelfAttnDownBlock2D",
                    "DreamLiteCrossAttnDownBlock2D",
                ),
                "up_block_types": ("DreamLiteCrossAttnUpBlock2D", "DreamLiteUpBlock2D"),
            },
        ),
        MASKED,
        MASKED_TOKENS,
    ),
)
