"""What the UNet is given: texts as tensors, once it is known that the model reads them.

Clouds and pooled vectors are arrays everywhere else. Here they become tensors of the model's dtype
on its device, and SDXL's numbers on the size of the picture join them.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from embedding_geometry.diffusion.clouds import Texts
from embedding_geometry.diffusion.loading import TextToImageModel


def check_texts(model: TextToImageModel, texts: Texts) -> None:
    """Raise a ValueError for texts that are not what the model reads."""
    clouds, pooled, name = texts.clouds, texts.pooled, model.provenance.name
    if clouds.ndim != 3 or min(clouds.shape) < 1 or clouds.shape[2] != model.text_width:
        raise ValueError(
            f"clouds have shape {clouds.shape}; {name} reads (frames, tokens, "
            f"{model.text_width}) with at least one frame"
        )
    bad = np.flatnonzero(~np.isfinite(clouds).all(axis=(1, 2)))
    if bad.size:
        raise ValueError(f"clouds {bad.tolist()} of {len(clouds)} hold NaN or infinity")
    if model.pooled_width is None and pooled is not None:
        raise ValueError(f"{name} reads clouds alone; leave out the pooled vectors")
    if model.pooled_width is not None and (
        pooled is None or pooled.shape[1] != model.pooled_width
    ):
        raise ValueError(
            f"{name} reads a pooled vector of width {model.pooled_width} beside each cloud, not "
            f"{None if pooled is None else pooled.shape}: encode(model, texts) makes both, and "
            "interpolate(...), .along(...) or .mixed(...) of them what is between"
        )


def as_tensor(model: TextToImageModel, array: np.ndarray) -> Tensor:
    """Return the array where the model is and in its dtype."""
    # torch knows no negative strides; rounded before it is moved: not every device has float64
    return torch.from_numpy(np.ascontiguousarray(array)).to(model.dtype).to(model.device)


def beside_clouds(
    model: TextToImageModel,
    pooled: Float[np.ndarray, "b p"] | None,
    latent: Float[Tensor, "1 c h w"],
) -> dict[str, Tensor] | None:
    """Return what the UNet reads beside the clouds, under diffusers' names.

    SDXL reads the pooled vectors and, for each, the size of the picture before it was cropped, the
    corner of the crop and the size wanted (Podell et al., section 2.2), in pixels: here the
    picture is whole.
    """
    if pooled is None:
        return None
    height, width = (model.vae_scale_factor * side for side in latent.shape[-2:])
    vectors = as_tensor(model, pooled)
    sizes = torch.tensor([height, width, 0, 0, height, width]).to(vectors)
    return {"text_embeds": vectors, "time_ids": sizes.expand(len(vectors), -1)}
