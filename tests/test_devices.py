"""Where torch computes is found or refused by name, and lack of memory is recognised."""

import pytest
import torch

from embedding_geometry.ground.devices import find_device, lacks_memory, use_full_float32


def test_the_named_device_is_found():
    assert find_device("cpu") == torch.device("cpu")


def test_a_device_is_found_where_none_is_named():
    assert find_device(None).type in {"cpu", "cuda", "mps"}


@pytest.mark.parametrize("device", ["tpu9", "cuda:77", "", "hpu"])
def test_a_wrong_device_is_named(device):
    with pytest.raises(ValueError, match=rf"device '{device}' is not available here; try"):
        find_device(device)


def test_a_device_that_computes_nothing_is_refused():
    with pytest.raises(ValueError, match="device 'meta' computes nothing"):
        find_device("meta")


def test_tf32_is_switched_off(tf32):
    """Else convolutions in float32 would keep ten bits on some graphics cards."""
    use_full_float32()
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert not torch.backends.cuda.matmul.allow_tf32


def test_lack_of_memory_is_recognised_and_nothing_else():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert lacks_memory(caught.value)
    assert lacks_memory(MemoryError())
    assert not lacks_memory(RuntimeError("shapes do not fit"))
