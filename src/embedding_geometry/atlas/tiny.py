"""Small models with random weights, and the inputs they are called with.

The property in question belongs to the wiring of a class, not to its size or its training: every
registry entry is the real class of diffusers in a small configuration. Transformers have two
blocks of each kind: what one does among the tokens of the text, the picture reads in the next.
An entry says only what is its own: `SIZES` holds what the classes share, by diffusers' names.
"""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

import diffusers
import torch
from torch import Tensor, nn

from embedding_geometry.atlas.check import Backbone, Call, Cause

N = 6  # tokens of a text
TIME = torch.tensor([500])
MASK = torch.tensor([[1, 1, 1, 1, 0, 0]])  # the last tokens are padding

# What a parameter of each of these names is in every model whose class has it, unless the entry of
# the model says otherwise.
SIZES: dict[str, Any] = {
    name: size
    for size, names in {
        1: "layers_per_block depth dit_depth num_res_blocks num_activated_experts",
        2: "num_layers num_single_layers num_refiner_layers n_layers n_refiner_layers "
        "num_hidden_layers num_mmdit_layers mmdit_layers num_single_dit_layers "
        "approximator_layers perceiver_num_layers num_text_blocks num_visual_blocks "
        "num_refiner_text_blocks num_layerwise_text_blocks num_text_layers num_attention_heads "
        "num_cross_attention_heads audio_num_attention_heads motion_num_attention_heads "
        "text_num_attention_heads num_heads n_heads dit_heads block_num_heads num_key_value_heads "
        "num_routed_experts num_key_value_attention_heads text_num_key_value_heads n_kv_heads "
        "num_memory_tokens rope_freq_dim clip_seq min_num_gist_tokens gist_step",
        3: "video_length",
        4: "in_channels out_channels audio_in_channels audio_out_channels cond_in_channels "
        "io_channels latent_dim audio_acoustic_hidden_dim in_visual_dim out_visual_dim "
        "in_audio_dim out_audio_dim micro_cond_encode_dim adaln_lora_dim max_num_gist_tokens "
        "sliding_window",
        N: "text_len text_len_t5 num_embeddings",
        8: "sample_size sample_height sample_width condition_dim multiple_of norm_num_groups "
        "adaln_dim cond_embed_dim approximator_num_channels audio_attention_head_dim "
        "time_proj_dim time_step_dim timestep_embed_dim timestep_features_dim "
        "timestep_ratio_embedding_dim rope_temporal_skip_len pos_embed_max_size",
        9: "sample_frames",
        12: "attention_head_dim cross_attention_head_dim head_dim text_emb_dim in_text_dim2 "
        "global_cond_dim global_states_input_dim image_proj_dim clip_text_pooled_in_channels "
        "clip_image_in_channels",
        16: "time_embed_dim freq_dim time_dim time_embed_hidden_dim approximator_hidden_dim "
        "audio_cross_attention_dim conditioning_dim text_intermediate_size max_sequence_length",
        20: "llm_features_dim text_in_dim text_encoder_dim micro_cond_embed_dim",
        24: "hidden_size dim joint_attention_dim cross_attention_dim text_embed_dim text_dim "
        "context_in_dim cap_feat_dim caption_channels caption_projection_dim dit_dim dit_text_dim "
        "model_dim embedding_dim in_text_dim text_hidden_dim cond_token_dim "
        "cross_attention_dim_t5 cross_attention_input_dim clip_text_in_channels",
        32: "intermediate_size ffn_dim ff_dim ffn_hidden_size embed_dim vocab_size codebook_size "
        "prior_vq_quantizer_codebook_size",
        64: "max_position_embeddings original_max_position_embeddings",
        (1,): "down_num_layers_per_block up_num_layers_per_block down_blocks_repeat_mappers "
        "up_blocks_repeat_mappers",
        (8, 8): "max_resolution",
        (6, 6): "axes_dim",
        (16, 32): "block_out_channels",
        (2, 2, 2): "mrope_section",
        (4, 4, 4): "axes_dims axes_dims_rope axes_dim_rope rope_axes_dim rope_dim rope_dim_list",
        (4, 8, 8): "max_size",
        (32, 8, 8): "axes_lens",
    }.items()
    for name in names.split()
}


class AbsentError(LookupError):
    """The installed diffusers has no class of this name."""


@dataclass(frozen=True)
class Tiny:
    """A factory of a diffusers class with a small configuration and random weights.

    Every parameter is drawn anew: many of these models start with gates and output layers of
    zeros, behind which any check would pass.
    """

    class_name: str
    config: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> nn.Module:
        """Build the model.

        Raises:
            AbsentError: the installed diffusers has no such class.
        """
        model_class = getattr(diffusers, self.class_name, None)
        if model_class is None:
            raise AbsentError(f"diffusers {diffusers.__version__} has no {self.class_name}")
        known = inspect.signature(model_class.__init__).parameters
        sizes = {name: size for name, size in SIZES.items() if name in known}
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # diffusers deprecates parts that it still uses
            torch.manual_seed(0)
            model = model_class(**{**sizes, **self.config}).requires_grad_(False)
            redraw(model)
        return model


def redraw(model: nn.Module) -> None:
    """Overwrite every parameter with normal numbers, matrices scaled to keep a vector's size."""
    for parameter in model.parameters():
        fan_in = math.prod(parameter.shape[1:])
        parameter.copy_(torch.randn(parameter.shape) / fan_in**0.5)


def change_option(blocks: Iterable[nn.Module], name: str, change: Callable[[Any], Any]) -> None:
    """Hand each of the blocks its option of this name changed."""

    def hook(
        block: nn.Module, states: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return states, {**options, name: change(options[name])}

    for block in blocks:
        block.register_forward_pre_hook(hook, with_kwargs=True)


def set_attribute(path: str, value: Any) -> Callable[[Any, dict[str, Any]], None]:
    """Give an attribute of the model, such as `pooler.table`, another value."""
    owner, _, name = path.rpartition(".")
    return lambda model, inputs: setattr(model.get_submodule(owner), name, value)


def zeros(*shape: int) -> nn.Parameter:
    """A parameter that adds nothing."""
    return nn.Parameter(torch.zeros(shape), requires_grad=False)


def normal(*shape: int) -> Tensor:
    """Standard normal numbers, the same for the same shape."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


class Options(TypedDict, total=False):
    """What an entry may say beside its class, inputs and tokens; `Backbone` explains it."""

    call: Call
    other: Tensor
    dtype: torch.dtype
    causes: tuple[Cause, ...]
    fixed_length: bool


def entry(
    name: str,
    class_name: str,
    inputs: Mapping[str, Any],
    config: Mapping[str, Any] = {},
    *,
    tokens: Mapping[str, int] | None = None,
    **options: Unpack[Options],
) -> Backbone:
    """Describe a class of diffusers as a backbone.

    Args:
        name: by which people know the model.
        class_name: its class.
        inputs: everything that it is called with.
        config: what is its own, beside `SIZES`.
        tokens: the inputs that travel; those that `TRAVELLING` names if not given.
        options: the other attributes of a `Backbone`.
    """
    if tokens is None:
        tokens = {name: 1 for name in TRAVELLING if name in inputs}
    return Backbone(name, Tiny(class_name, config), inputs, tokens, **options)


# What belongs to each token in the classes of diffusers, along axis 1, the text itself first.
TRAVELLING = (
    "encoder_hidden_states",
    "encoder_attention_mask",
    "encoder_hidden_states_mask",
    "encoder_mask",
    "attention_mask",
)
MASKED = {"encoder_attention_mask": MASK}
TEXT = {"timestep": TIME, "encoder_hidden_states": normal(1, N, 24)}
IMAGE = {**TEXT, "hidden_states": normal(1, 4, 8, 8)}
UNPADDED = {"encoder_attention_mask": torch.ones(1, N, dtype=torch.long)}
HALFWAY = {"timestep": torch.tensor([0.5])}
POOLED = {"pooled_projections": normal(1, 12)}
FILM = {**TEXT, "hidden_states": normal(1, 4, 3, 8, 8)}
PACKED = {**TEXT, **HALFWAY, "hidden_states": normal(1, 9, 4)}
GRID = torch.cartesian_prod(*map(torch.arange, (1, 3, 3))).double()  # places of a packed picture
