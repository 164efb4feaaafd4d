"""Put the embedded models into the wheel; in the repository `data` has their only copies.

Everything else about the package is in pyproject.toml.
"""

from pathlib import Path
from shutil import copytree

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithModels(build_py):
    """Copies the models beside the code, where `ground.places` looks for it first."""

    def run(self) -> None:
        """Build the package; an editable one finds the models in its clone."""
        super().run()
        if not self.editable_mode:
            for index in Path("data").glob("*/model_index.json"):
                target = Path(self.build_lib, "embedding_geometry", index.parent)
                copytree(index.parent, target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithModels})
