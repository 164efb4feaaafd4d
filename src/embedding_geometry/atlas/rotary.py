"""Transformers that number their text tokens, as language models do, by rotary positions."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embedding_geometry.atlas.check import Cause
from embedding_geometry.atlas.tiny import (
    GRID,
    HALFWAY,
    IMAGE,
    PACKED,
    TIME,
    UNPADDED,
    N,
    change_option,
    entry,
    normal,
    set_attribute,
    zeros,
)

ROTATION = "rotary positions of the text tokens"
GRID_OF_FOUR = torch.cartesian_prod(*map(torch.arange, (1, 3, 3, 1))).double()


# --- the places that the pipelines give to n tokens ---------------------------------------------


def along(*direction: float) -> Callable[[int], Tensor]:
    """Places in a row, each a step in this direction from the one before."""
    return lambda n: torch.arange(n)[:, None] * torch.tensor(direction)


def _at_origin(name: str) -> Callable[[Any, dict[str, Any]], None]:
    """Put all text tokens at the origin in the input of this name, and the rest where it was."""

    def remove(model: Any, inputs: dict[str, Any]) -> None:
        places = inputs[name]
        inputs[name] = lambda n: places(n).index_fill(-2, torch.arange(n), 0)

    return remove


def _given(**inputs: Callable[[int], Tensor]) -> Callable[[Any, dict[str, Any]], None]:
    """Give the model these inputs instead of its own."""
    return lambda model, own: own.update(inputs)


# --- Qwen-Image and its kin ---------------------------------------------------------------------


def _still_text(model: Any, inputs: dict[str, Any]) -> None:
    """Make the rotation of the text the identity; that of the picture comes first and stays."""
    model.pos_embed.register_forward_hook(
        lambda module, given, freqs: (freqs[0], torch.ones_like(freqs[1]))
    )


def _picture_of_qwen_2(model: Any, inputs: dict[str, Any]) -> Tensor:
    """Call Qwen-Image 2.1, whose output holds the text's places before the picture's."""
    return model(**inputs, return_dict=False)[0][:, -16:]


def _still_qwen_2(model: Any, inputs: dict[str, Any]) -> None:
    """Make the rotation of the text the identity."""
    model.pos_embed.register_forward_hook(
        lambda module, given, freqs: torch.where(given[1][:, None], freqs, torch.ones_like(freqs))
    )


def _open_qwen_2(model: Any, inputs: dict[str, Any]) -> None:
    """Let each text token see those after it."""
    change_option(
        model.transformer_blocks,
        "segments",
        lambda segments: [(start, end, False) for start, end, _ in segments],
    )


# --- Lumina 2, Z-Image, ERNIE: places made inside the model -------------------------------------


def _still_caption(model: Any, inputs: dict[str, Any]) -> None:
    """Make the rotation of Lumina 2's caption the identity, alone and before the picture."""

    def still(module: nn.Module, given: tuple[Any, ...], made: tuple[Any, ...]) -> tuple[Any, ...]:
        patches, caption, picture, joint, *lengths = made
        joint[:, : caption.shape[1]] = 1
        return patches, torch.ones_like(caption), picture, joint, *lengths

    model.rope_embedder.register_forward_hook(still)


PICTURE_AXES = torch.tensor([0, 1, 1])  # the text advances on the first axis


def _still_z_image(model: Any, inputs: dict[str, Any]) -> None:
    """Forget the axis of the text."""
    rotation = model.rope_embedder
    model.rope_embedder = lambda places: rotation(places * PICTURE_AXES)


def _still_ernie(model: Any, inputs: dict[str, Any]) -> None:
    """Forget the axis of the text."""
    model.pos_embed.register_forward_pre_hook(lambda module, given: (given[0] * PICTURE_AXES,))


# --- OmniGen, Ideogram, MiniMax: one packed sequence --------------------------------------------


def causal_text(n: int) -> Tensor:
    """OmniGen's mask: a text token sees those before it, the time and picture tokens see all."""
    mask = torch.ones(1, n + 17, n + 17, dtype=torch.float64).tril()
    mask[:, n:] = 1
    return mask


def open_text(n: int) -> Tensor:
    """The same, where each text token sees all others."""
    mask = causal_text(n)
    mask[:, :n, :n] = 1
    return mask


def first_place(n: int) -> Tensor:
    """OmniGen's places, with all text tokens in the first one."""
    return torch.arange(n + 17)[None].index_fill(1, torch.arange(n), 0)


def ideogram_places(n: int) -> Tensor:
    """Ideogram's places: text on the diagonal of three axes, then the picture far away."""
    text = torch.arange(n)[:, None].expand(-1, 3)
    return torch.cat([text, GRID.long() + 1000])[None]


def _call_ideogram(model: Any, inputs: dict[str, Any]) -> Tensor:
    """Pack text and picture for Ideogram and return the picture's part of the output."""
    given = dict(inputs)
    text, image = given.pop("text"), given.pop("image")
    n = text.shape[1]
    packed = model(
        hidden_states=F.pad(image, (0, 0, n, 0)),
        encoder_hidden_states=F.pad(text, (0, 0, 0, image.shape[1])),
        return_dict=False,
        **given,
    )
    return packed[0][:, n:]


def minimax_places(n: int) -> Tensor:
    """Places of MiniMax H3: text, then sound, then film on the axis of time."""
    text = torch.arange(n)[:, None] * torch.tensor([1, 0, 0])
    sound = (n + torch.arange(3))[:, None] * torch.tensor([1, 0, 0])
    film = torch.cartesian_prod(n + torch.arange(2), torch.arange(2), torch.arange(2))
    return torch.cat([text, sound, film]).double()


STILL_PLACES = Cause(ROTATION, _at_origin("txt_ids"))
STILL_QWEN = Cause(ROTATION, _still_text)
STILL_SEQUENCE = Cause(ROTATION, _at_origin("position_ids"))
ON_FOURTH_AXIS = {**PACKED, "img_ids": GRID_OF_FOUR, "txt_ids": along(0.0, 0.0, 0.0, 1.0)}
ON_DIAGONAL = {**PACKED, "img_ids": GRID, "txt_ids": along(0.0, 1.0, 1.0)}

TEXT_ROTATION = (
    entry(
        "FLUX.2",
        "Flux2Transformer2DModel",
        {**ON_FOURTH_AXIS, "guidance": torch.tensor([4.0])},
        {"axes_dims_rope": (2, 2, 4, 4)},
        causes=(STILL_PLACES,),
    ),
    entry(
        "FLUX.3",
        "Flux3Transformer2DModel",
        ON_FOURTH_AXIS,
        {"axes_dims_rope": (2, 2, 4, 4)},
        dtype=torch.float32,
        causes=(STILL_PLACES,),
    ),
    entry("Ovis-Image", "OvisImageTransformer2DModel", ON_DIAGONAL, causes=(STILL_PLACES,)),
    entry(
        "LongCat-Image",
        "LongCatImageTransformer2DModel",
        ON_DIAGONAL,
        {"pooled_projection_dim": 12},
        causes=(STILL_PLACES,),
    ),
    entry(
        "Qwen-Image",
        "QwenImageTransformer2DModel",
        {**PACKED, "img_shapes": [[(1, 3, 3)]]},
        {"patch_size": 1},
        causes=(STILL_QWEN,),
    ),
    entry(
        "Qwen-Image 2.1",
        "QwenImage21Transformer2DModel",
        {
            **PACKED,
            "hidden_states": normal(1, 16, 4),
            "img_shapes": [[(1, 4, 4)]],
            "img_mask": lambda n: (torch.arange(n + 4) >= n)[None],
        },
        call=_picture_of_qwen_2,
        causes=(Cause("causal mask", _open_qwen_2), Cause(ROTATION, _still_qwen_2)),
    ),
    entry(
        "NucleusMoE-Image",
        "NucleusMoEImageTransformer2DModel",
        {**PACKED, "img_shapes": [(1, 3, 3)]},
        {"patch_size": 1, "moe_enabled": False},
        causes=(STILL_QWEN,),
    ),
    entry(
        "Lumina 2",
        "Lumina2Transformer2DModel",
        {**IMAGE, **UNPADDED, "timestep": TIME / 1000},
        {"num_kv_heads": 2},
        causes=(Cause(ROTATION, _still_caption),),
    ),
    entry(
        "Z-Image",
        "ZImageTransformer2DModel",
        {"image": normal(4, 1, 8, 8), "t": torch.tensor([0.5]), "text": normal(N, 24)},
        {"axes_lens": [128, 32, 32]},
        tokens={"text": 0},
        call=lambda model, given: model([given["image"]], given["t"], [given["text"]]),
        causes=(Cause(ROTATION, _still_z_image),),
    ),
    entry(
        "ERNIE-Image",
        "ErnieImageTransformer2DModel",
        {
            "hidden_states": normal(1, 4, 3, 3),
            "timestep": TIME,
            "text_bth": normal(1, N, 20),
            "text_lens": lambda n: torch.tensor([n]),
        },
        tokens={"text_bth": 1},
        dtype=torch.float32,
        causes=(Cause(ROTATION, _still_ernie),),
    ),
    entry(
        "Ideogram 4",
        "Ideogram4Transformer2DModel",
        {
            **HALFWAY,
            "image": normal(1, 9, 4),
            "text": normal(1, N, 20),
            "position_ids": ideogram_places,
            "segment_ids": lambda n: torch.ones(1, n + 9, dtype=torch.long),
            "indicator": lambda n: torch.tensor([[3] * n + [2] * 9]),
        },
        tokens={"text": 1},
        call=_call_ideogram,
        causes=(STILL_SEQUENCE,),
    ),
    entry(
        "Kandinsky 2.2, prior",
        "PriorTransformer",
        {
            "hidden_states": normal(1, 24),
            "timestep": TIME,
            "proj_embedding": normal(1, 24),
            "encoder_hidden_states": 3 * normal(1, N, 24),
            "attention_mask": torch.ones(1, N),
        },
        {"attention_head_dim": 8},
        causes=(
            Cause("causal mask", set_attribute("causal_attention_mask", zeros(1, 1, 1))),
            Cause("position table", set_attribute("positional_embedding", zeros(1, 1, 16))),
        ),
        fixed_length=True,
    ),
    entry(
        "OmniGen",
        "OmniGenTransformer2DModel",
        {
            **HALFWAY,
            "hidden_states": normal(1, 4, 8, 8),
            "input_ids": torch.arange(1, N + 1)[None],
            "input_img_latents": [],
            "input_image_sizes": {},
            "attention_mask": causal_text,
            "position_ids": lambda n: torch.arange(n + 17)[None],
        },
        {"pad_token_id": 0, "rope_scaling": {"short_factor": [1.0] * 6, "long_factor": [1.0] * 6}},
        tokens={"input_ids": 1},
        other=torch.arange(11, N + 11)[None],
        causes=(
            Cause("causal mask", _given(attention_mask=open_text)),
            Cause(ROTATION, _given(position_ids=first_place)),
        ),
    ),
    entry(
        "MiniMax H3",
        "MiniMaxH3Transformer3DModel",
        {
            "hidden_states": normal(1, 8, 16),
            "audio_hidden_states": normal(1, 3, 4),
            "encoder_hidden_states": normal(1, N, 20),
            "timestep": TIME,
            "timestep_indices": lambda n: torch.zeros(n + 11, dtype=torch.long),
            "token_tags": lambda n: torch.tensor([0] * n + [2] * 3 + [1] * 8),
            "position_ids": minimax_places,
            "text_indices": torch.arange,
            "audio_indices": lambda n: torch.arange(n, n + 3),
            "video_indices": lambda n: torch.arange(n + 3, n + 11),
        },
        {"text_dim": 20, "freq_dim": 8, "time_embed_dim": 8},
        causes=(STILL_SEQUENCE,),
    ),
)
