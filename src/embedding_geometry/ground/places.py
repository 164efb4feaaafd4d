"""Where things lie in a clone of this repository."""

from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "data"
POCKET_FOLDER = DATA / "pocket"
PROMPTS = DATA / "prompts"
RESULTS = DATA / "results"
