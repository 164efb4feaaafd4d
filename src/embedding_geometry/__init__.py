"""Text embeddings as point clouds: couplings, paths, images and their perceptual path length.

The public names in the order of the data: prompts -> token clouds -> coupling -> path of clouds ->
frames -> perceptual distances -> statistics -> study. `__init__.pyi` lists them for type checkers
and for this file alike. Each module is imported when one of its names is first used, so that the
mathematics starts without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
