"""Try the installed package as its users do, outside of the repository.

    python tools/try_package.py

In an empty folder it runs the README's example and then, on little, the commands. What is tried
is whatever `python` imports: continuous integration does it with the wheel, and with the oldest
versions that pyproject.toml admits.
"""

import os
import re
import tempfile
from importlib.metadata import entry_points
from pathlib import Path

import embedding_geometry as eg
from embedding_geometry.ground.places import DATA, POCKET_FOLDER

README = Path(__file__).parents[1] / "README.md"
ENDS = ["a cat on the beach at night", "a panda in the snow at dusk"]
PAIRS = f"pair_id,source,target,similarity\nfirst,{ENDS[0]},{ENDS[1]},1\n"
COMMANDS = [
    ["--help"],
    ["render", *ENDS, "--frames", "2", "--write", "strips", "frames", "mp4", "--out", "rendered"],
    ["ppl", "rendered/row", "rendered/optimal.mp4", "--csv", "lengths.csv"],
    ["study", "--pairs", "pairs.csv", "--frames", "3", "--seeds", "0", "--out", "study"],
]


def run_example() -> None:
    """Run the README's example in Python."""
    [example] = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(example, README, "exec"), {})


def run_command(arguments: list[str]) -> None:
    """Run the console script; raises where it does not end well."""
    [script] = entry_points(group="console_scripts", name="embedding-geometry")
    print("$", script.name, *arguments, flush=True)
    try:
        code = script.load()(arguments)
    except SystemExit as end:  # --help
        code = end.code
    if code:
        raise RuntimeError(f"{script.name} {' '.join(arguments)} ended with {code}")


def main() -> None:
    """Try everything in the current folder, which is empty."""
    print(f"embedding_geometry {eg.__version__} in {Path(eg.__file__).parent}")
    print(f"pocket in {POCKET_FOLDER}, records in {DATA}")
    run_example()
    Path("pairs.csv").write_text(PAIRS)
    for command in COMMANDS:
        run_command(command)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main()
