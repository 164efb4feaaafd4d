"""The first world: pictographs in drawn places, everything one of a few values."""
