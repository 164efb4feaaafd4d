"""The second world: creatures between the species, on grounds that blend, at any hour."""

from embedding_geometry.pocket.menagerie.anatomy import SPECIES
from embedding_geometry.pocket.menagerie.captions import caption, complete_caption, rigid_caption
from embedding_geometry.pocket.menagerie.labels import CLASSES, VALUES, labels, shares
from embedding_geometry.pocket.menagerie.pictures import drawn, picture, pictured
from embedding_geometry.pocket.menagerie.scenes import (
    GROUNDS,
    Labels,
    Scene,
    between,
    changeable,
    changed,
    mixture,
    sample_scene,
)

__all__ = [
    "CLASSES",
    "GROUNDS",
    "SPECIES",
    "VALUES",
    "Labels",
    "Scene",
    "between",
    "caption",
    "changeable",
    "changed",
    "complete_caption",
    "drawn",
    "labels",
    "mixture",
    "picture",
    "pictured",
    "rigid_caption",
    "sample_scene",
    "shares",
]
