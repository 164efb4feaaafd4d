"""Which models see a prompt as a point cloud: a check, and the backbones it was made on."""

from embedding_geometry.atlas.check import Backbone, Cause, Finding, UncheckableError, examine
from embedding_geometry.atlas.tiny import AbsentError, Tiny

__all__ = ["AbsentError", "Backbone", "Cause", "Finding", "Tiny", "UncheckableError", "examine"]
