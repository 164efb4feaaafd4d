"""What a page of the book shows: numbers in its prose, figures, tables, claims and verdicts."""

import warnings

import lazy_loader

# Pages show no progress bars. Where ipywidgets is missing, tqdm would complain on each of them, as
# soon as a model is loaded, which is before a page displays anything.
warnings.filterwarnings("ignore", message="IProgress not found")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
