"""Which models see a prompt as a point cloud: a check, and the backbones it was made on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
