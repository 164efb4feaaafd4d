"""Put the pocket model into the wheel; in the repository `data/pocket` is its only copy.

Everything else about the package is in pyproject.toml.
"""

from pathlib import Path
from shutil import copytree

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithModel(build_py):
    """Copies the model beside the code, where `ground.places` looks for it first."""

    def run(self) -> None:
        """Build the package; an editable one finds the model in its clone."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "embedding_geometry/data/pocket")
            copytree("data/pocket", target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithModel})
