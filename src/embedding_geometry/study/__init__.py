"""Prompt pairs × initial latents × ways: a study, computed so that it can be stopped anywhere."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
