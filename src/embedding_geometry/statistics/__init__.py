"""From measured paths to statements: paired comparisons, tables by pair, dose and response."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
