"""The second world: creatures between the species, on grounds that blend, at any hour."""

from embedding_geometry.pocket.menagerie.anatomy import SPECIES as SPECIES
from embedding_geometry.pocket.menagerie.captions import caption as caption
from embedding_geometry.pocket.menagerie.captions import complete_caption as complete_caption
from embedding_geometry.pocket.menagerie.captions import rigid_caption as rigid_caption
from embedding_geometry.pocket.menagerie.labels import CLASSES as CLASSES
from embedding_geometry.pocket.menagerie.labels import VALUES as VALUES
from embedding_geometry.pocket.menagerie.labels import labels as labels
from embedding_geometry.pocket.menagerie.labels import shares as shares
from embedding_geometry.pocket.menagerie.pictures import drawn as drawn
from embedding_geometry.pocket.menagerie.pictures import picture as picture
from embedding_geometry.pocket.menagerie.pictures import pictured as pictured
from embedding_geometry.pocket.menagerie.scenes import GROUNDS as GROUNDS
from embedding_geometry.pocket.menagerie.scenes import Labels as Labels
from embedding_geometry.pocket.menagerie.scenes import Scene as Scene
from embedding_geometry.pocket.menagerie.scenes import between as between
from embedding_geometry.pocket.menagerie.scenes import changeable as changeable
from embedding_geometry.pocket.menagerie.scenes import changed as changed
from embedding_geometry.pocket.menagerie.scenes import mixture as mixture
from embedding_geometry.pocket.menagerie.scenes import sample_scene as sample_scene
