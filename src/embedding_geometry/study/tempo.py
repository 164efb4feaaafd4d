"""How evenly the pictures of each coupling change, before and after re-timing: a recorded table.

For the first pairs of each grade, the rigid control left out, the path of every coupling is
rendered at equally spaced times, re-timed (`retiming.retime`), and measured after each round. The
book's protocol says which comparisons are made. `python -m embedding_geometry.tempo` makes the
table.
"""

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro
from tqdm import tqdm

from embedding_geometry.diffusion.clouds import encode
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.diffusion.settings import LoadSettings
from embedding_geometry.ground.command import run_command
from embedding_geometry.ground.disk import write_whole
from embedding_geometry.ground.records import read_manifest, read_table
from embedding_geometry.ground.types import Frames, Times
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.path_length import perceptual_path_length
from embedding_geometry.perception.retiming import KnownFrames, Timing, retime
from embedding_geometry.study.cells import Bench, check_prompts, coupling_rng, prepare_bench
from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs
from embedding_geometry.study.settings import Net, StudySettings
from embedding_geometry.transport.ways import find_way

COUPLINGS = ("row", "optimal", "random")


@dataclass(frozen=True)
class Tempo:
    """Re-time the first pairs of each grade along every coupling (ten minutes on one core).

    Attributes:
        out: Beginning of the names of the two files, `<out>_retiming.csv` and
            `<out>_retiming_manifest.json`.
        pairs: Table of prompt pairs (CSV: pair_id, source, target, similarity[, stratum]).
        loading: Which model computes, and where.
        net: Backbone of the perceptual metric: pocket, alex, vgg or squeeze.
        per_grade: Pairs of each grade, the first ones of the table.
        rounds: How often the times of a path are improved.
        frames: Images along a path, both ends included.
        seed: Of the initial latent.
    """

    out: Annotated[Path, tyro.conf.arg(metavar="PREFIX")] = Path("data/results/pocket")
    pairs: Path = Path("data/prompts/pocket_pairs.csv")
    loading: tyro.conf.OmitArgPrefixes[LoadSettings] = LoadSettings()
    net: Net = "pocket"
    per_grade: int = 8
    rounds: int = 2
    frames: int = 11
    seed: int = 0

    def run(self) -> None:
        """Measure every pair of the sample and record the table."""
        pairs = sample(read_prompt_pairs(self.pairs), self.per_grade)
        bench = self.prepare()
        check_prompts(bench.model, bench.rendering, pairs)
        started = datetime.now(UTC)
        rows = [
            row
            for pair in tqdm(pairs, unit="pair")
            for row in retimed_rows(bench, pair, self.seed, self.rounds)
        ]
        record(pd.DataFrame(rows), self._manifest(bench, started), self.out)
        sys.stdout.write(f"{len(pairs)} pairs -> {self.out}_retiming.csv\n")

    def prepare(self) -> Bench:
        """Load model and metric.

        Raises:
            ValueError: A setting that cannot be used.
            FileNotFoundError: Model or metric are not where they were looked for.
        """
        settings = StudySettings(
            pairs=self.pairs,
            net=self.net,
            couplings=COUPLINGS,
            seeds=(self.seed,),
            frames=self.frames,
            loading=self.loading,
        )
        settings.check()
        return prepare_bench(settings)

    def _manifest(self, bench: Bench, started: datetime) -> dict[str, object]:
        ended = datetime.now(UTC)
        return {
            "model": asdict(bench.model.provenance),
            "metric": {"net": bench.metric.net, "revision": bench.metric.revision},
            "settings": asdict(bench.rendering)
            | {"frames": self.frames, "rounds": self.rounds, "seed": self.seed},
            "pairs": {"file": self.pairs.name, "per_grade": self.per_grade},
            "started": started.isoformat(timespec="seconds"),
            "ended": ended.isoformat(timespec="seconds"),
            "seconds": round((ended - started).total_seconds(), 1),
            "environment": bench.environment,
        }


def sample(pairs: Sequence[PromptPair], per_grade: int) -> list[PromptPair]:
    """The first pairs of each grade in the order of the table, the rigid control left out.

    Raises:
        ValueError: That leaves no pair.
    """
    taken: Counter[int] = Counter()
    chosen = []
    for pair in pairs:
        grade = round(pair.similarity)
        if pair.stratum != "rigid" and taken[grade] < per_grade:
            taken[grade] += 1
            chosen.append(pair)
    if not chosen:
        raise ValueError(
            f"no pair is left of {len(pairs)} with per_grade {per_grade}; take 1 or more, of a "
            "table that holds pairs outside the stratum `rigid`"
        )
    return chosen


def known_frames(bench: Bench, pair: PromptPair, coupling: str, seed: int) -> KnownFrames:
    """The frames of a pair's path along a coupling, as the study renders them, at any times."""
    texts = encode(bench.model, [pair.source, pair.target])
    latent = initial_latent(bench.model, seed, bench.rendering)

    def frames_at(times: Times) -> Frames:
        path = find_way(coupling)(texts.ends, times, coupling_rng(pair.pair_id))
        return render(bench.model, texts.along(path, times), latent, bench.rendering)

    return KnownFrames(frames_at)


def retime_path(bench: Bench, known: KnownFrames, rounds: int) -> list[Timing]:
    """The timings of a path of the bench's number of frames, before and after each round."""
    return retime(
        lambda times: perceptual_distances(bench.metric, known(times)), bench.frames, rounds
    )


def retimed_rows(
    bench: Bench, pair: PromptPair, seed: int, rounds: int
) -> Iterator[dict[str, object]]:
    """Re-time a pair along every coupling.

    Yields:
        For each coupling and each round, of which round 0 has the equally spaced times, the pair's
        columns, `coupling`, `seed`, `round`, `frames`, the `extra` frames rendered so far, `ppl`
        (the mean distance), `root_sum`, `gini` and `maximum_step`.
    """
    for coupling in COUPLINGS:
        timings = retime_path(bench, known_frames(bench, pair, coupling, seed), rounds)
        for number, timing in enumerate(timings):
            length = perceptual_path_length(timing.distances)
            yield {
                "pair_id": pair.pair_id,
                "similarity": pair.similarity,
                "stratum": pair.stratum,
                "coupling": coupling,
                "seed": seed,
                "round": number,
                "frames": length.frames,
                "extra": timing.extra,
                "ppl": length.mean,
                "root_sum": length.root_sum,
                "gini": length.gini,
                "maximum_step": length.maximum_step,
            }


def record(table: pd.DataFrame, manifest: dict[str, object], prefix: Path) -> None:
    """Write `<prefix>_retiming.csv` and `<prefix>_retiming_manifest.json`.

    Raises:
        OSError: The files cannot be written.
    """
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    prefix.parent.mkdir(parents=True, exist_ok=True)
    write_whole(Path(f"{prefix}_retiming.csv"), text.getvalue().encode())
    lines = json.dumps(manifest, indent=1) + "\n"
    write_whole(Path(f"{prefix}_retiming_manifest.json"), lines.encode())


def recorded(prefix: Path) -> tuple[pd.DataFrame, dict[str, object]]:
    """Read what `record` wrote.

    Raises:
        FileNotFoundError: There is no such record.
        RecordError: It is damaged or has no rows.
    """
    command = f"python -m embedding_geometry.tempo --out {prefix}"
    table = read_table(Path(f"{prefix}_retiming.csv"), command)
    return table, read_manifest(Path(f"{prefix}_retiming_manifest.json"), command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, as `run_command` does."""
    return run_command(
        Tempo,
        lambda tempo: tempo.run(),
        arguments,
        program="python -m embedding_geometry.tempo",
        kept=lambda _: "nothing was written",
    )


if __name__ == "__main__":
    sys.exit(main())
