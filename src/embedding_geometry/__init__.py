"""Text embeddings as point clouds: couplings, paths, images and their perceptual path length.

The public names in the order of the data: prompts -> token clouds -> coupling -> path of clouds ->
frames -> perceptual distances -> statistics -> study. `__init__.pyi` lists them for type checkers
and for this file alike. Each module is imported when one of its names is first used, so that the
mathematics starts without torch.
"""

import os
from importlib.metadata import version

import lazy_loader

# Threads that share a sum wait for the last of them, and spin meanwhile. Where the machine does
# other work too, they spin in place of the one they wait for: a page of 40 s took half an hour.
# This bounds the spinning; page 8 has the times. OpenMP reads it when torch is loaded, so the
# package is imported before torch. A user's own choice stands.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("embedding-geometry")
