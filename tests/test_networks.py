"""The networks of LPIPS beside those of the package: names of the weights, and every bit."""

import warnings

import lpips
import pytest
import torch

from embedding_geometry.perception.networks import LPIPS


def published(net):
    """The package's own network, of random weights."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        return lpips.LPIPS(net=net, pnet_rand=True, pretrained=False, verbose=False)


@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
@torch.no_grad()
def test_weights_have_the_packages_names_and_every_layer_is_the_packages_to_the_bit(net):
    theirs, own = published(net), LPIPS(net)
    own.load_state_dict(theirs.state_dict())
    generator = torch.Generator().manual_seed(0)
    for side in (32, 67):  # the first leaves single places, whose layout in memory is ambiguous
        pixels = torch.rand(3, side, side + 3, 3, generator=generator)
        images = pixels.permute(0, 3, 1, 2) * 2 - 1
        layers = [each.net(each.scaling_layer(images)) for each in (own, theirs)]
        assert len(layers[0]) == len(layers[1]) == len(own.lins)
        for ours, expected, *heads in zip(*layers, own.lins, theirs.lins, strict=True):
            assert torch.equal(ours, expected)
            assert ours.stride() == expected.stride()
            assert torch.equal(*(head(expected**2) for head in heads))
