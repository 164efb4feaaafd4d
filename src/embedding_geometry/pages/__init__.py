"""What a page of the book shows: numbers in its prose, figures, tables, claims and verdicts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
