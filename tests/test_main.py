"""What each subcommand writes and prints, and the one line for what cannot be done."""

import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from embedded import embedded_settings
from PIL import Image

import embedding_geometry as eg
from embedding_geometry import __main__ as main_module
from embedding_geometry.__main__ import main, print_table
from embedding_geometry.ground.places import MODELS
from embedding_geometry.perception.frames import read_frames, write_animation
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.path_length import perceptual_path_length
from embedding_geometry.study import recorded
from embedding_geometry.study.prompts import read_prompt_pairs
from embedding_geometry.transport.ways import WAYS

PATIENCE = 1800.0  # seconds: a busy machine is no bug
PAIRS = """\
pair_id,source,target,similarity
1,a small cat on the beach,a big dog in the snow,2
2,two birds over the sea,the green tree,0
"""


pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text(PAIRS)
    return path


@pytest.fixture
def study_arguments(pairs: Path, tiny_folder: Path, tmp_path: Path) -> list[str]:
    options = f"--pairs {pairs} --model {tiny_folder} --out {tmp_path / 'out'}"
    return f"study {options} --frames 4 --steps 1 --seeds 5 --device cpu".split()


def render_arguments(model: Path, out: Path, *options: str) -> list[str]:
    prompts = ["a small cat on the beach", "two birds over the sea"]
    fixed = f"--model {model} --out {out} --steps 1 --device cpu".split()
    return ["render", *prompts, *fixed, *options]


def write_images(folder: Path, names: list[str]) -> None:
    """Noise, another for every name."""
    folder.mkdir()
    for index, name in enumerate(names):
        noise = np.random.default_rng(index).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What standard error says in the end, after the progress bars."""
    return capsys.readouterr().err.splitlines()[-1]


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What stands on standard error, which must be a single line of ours."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


# --- help ---------------------------------------------------------------------------------------


def test_help_comes_without_loading_torch() -> None:
    code = (
        "import sys; from embedding_geometry.__main__ import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'torch', 'diffusers', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("[]")
    for name in ("study", "tempo", "record", "render", "ppl", "pairs", "info", "export"):
        assert f"• {name}" in done.stdout


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("study", "--pairs --out --publish --couplings --seeds --frames --steps --batch-size"),
        ("study", "--dry-run --shard --engine --address --cores-per-worker"),
        ("tempo", "--pairs --out --per-grade --rounds --model --net --device --frames"),
        ("record", "NAMES --out"),
        (
            "study",
            "--model --dtype --truncate --steps --guidance-scale --scheduler --height --width",
        ),
        ("render", "SOURCE TARGET --couplings --write --out --seed --negative-prompt"),
        ("render", "--model --dtype --steps --guidance-scale --scheduler --height --width"),
        (
            "ppl",
            "PATHS --net --compare --fidelity --frames --resize --background --seed --csv --json",
        ),
        ("ppl", "--device BMP JPEG PNG TIFF WebP GIF AVI M4V MKV MOV MP4 WebM"),
        ("pairs", "--scores --captions --per-grade --seed --out"),
        ("info", "--model --net --device --revision"),
        ("export", "FOLDER --model --net --device --revision"),
    ],
)
def test_help_names_and_explains_every_option(
    command: str, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for option in options.split():
        assert option in shown
    unexplained = re.findall(r"│ (--[a-z-]+) [^│]*│\n│ +\((?:default|required)", shown)
    assert unexplained == []


def test_help_names_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["render", "--help"])
    shown = set(re.findall(r"[\w.-]*\w", capsys.readouterr().out))
    graded = {name for name in WAYS if re.search(r"-(50|75)$", name)}
    assert WAYS.keys() - graded <= shown


# --- study --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default::embedding_geometry.study.results.DamagedCellWarning")
def test_study_writes_and_publishes_its_tables_and_resumes(
    study_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish = ["--publish", str(tmp_path / "tiny")]
    assert main([*study_arguments, *publish]) == 0
    table = pd.read_csv(tmp_path / "tiny_study.csv")
    assert len(table) == 2 * 4
    assert set(table["seed"]) == {5}
    assert len(pd.read_parquet(tmp_path / "tiny_steps.parquet")) == 2 * 4 * 3
    assert json.loads((tmp_path / "tiny_manifest.json").read_text())["cells"] == 8
    output = capsys.readouterr()
    assert "8 cells in" in output.out
    assert "optimal" in output.out
    assert "8/8" in output.err  # the progress bar

    victim = min((tmp_path / "out/cells").iterdir())
    victim.write_text("{")
    assert main(study_arguments) == 0
    error = capsys.readouterr().err
    assert f"warning: {victim} is damaged; this cell is computed again\n" in error


def test_record_makes_named_studies_and_puts_them_where_the_book_finds_them(
    pairs: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = f"""
        pairs = "{pairs.name}"
        loading = {{ model = "{tiny_folder}", device = "cpu" }}
        couplings = ["row"]
        extra_couplings_first_seed = []
        seeds = [5]
        frames = 4
    """
    file = tmp_path / "studies.toml"
    file.write_text(f"[study.tiny]{settings}[tempo.tiny_retiming]{settings}")
    monkeypatch.setattr(recorded, "STUDIES", file)
    monkeypatch.setattr(recorded, "PROMPTS", tmp_path)
    monkeypatch.setattr(sys.modules[main.__module__], "RESULTS", tmp_path / "results")
    assert main(["record", "tiny", "tiny_retiming", "--out", str(tmp_path / "runs")]) == 0
    made = {path.name for path in (tmp_path / "results").iterdir()}
    study = {f"tiny_{end}" for end in ("study.csv", "steps.parquet", "pairs.csv", "manifest.json")}
    assert made == study | {"tiny_retiming.csv", "tiny_retiming_manifest.json"}
    assert len(list((tmp_path / "runs/tiny/cells").iterdir())) == 2
    assert set(pd.read_csv(tmp_path / "results/tiny_retiming.csv")["round"]) == {0, 1, 2}


def test_a_dry_run_says_what_there_is_to_do_and_writes_nothing(
    study_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two pairs, four couplings, four frames: two ends and four times two inner frames a pair."""
    assert main([*study_arguments, "--dry-run"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == [
        "cells         8, 0 finished, 8 pending",
        "images        20",
        "LPIPS passes  32",
    ]
    assert re.fullmatch(r"time +about .* on 1 worker", shown[4])
    assert not (tmp_path / "out").exists()


def test_a_shard_says_what_the_others_have_yet_to_compute(
    study_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish = ["--publish", str(tmp_path / "tiny")]
    assert main([*study_arguments, *publish, "--shard", "1/2"]) == 0
    shown = capsys.readouterr().out
    assert "cells         4, 0 finished, 4 pending" in shown
    assert "shard 1/2 is finished; 4 of the study's 8 cells are missing" in shown
    assert not (tmp_path / "tiny_study.csv").exists()
    assert main([*study_arguments, *publish, "--shard", "2/2"]) == 0
    assert "8 cells in" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "tiny_study.csv")) == 8


def test_other_settings_in_the_folder_are_one_line(
    study_arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(study_arguments) == 0
    capsys.readouterr()
    assert main([*study_arguments, "--frames", "5"]) == 2
    assert "frames is 4 there and 5 now" in one_line(capsys)


def study_in_child(arguments: list[str], errors: Path) -> None:
    """Run the command in a process of its own, its standard error in a file."""
    # a parent that runs in the background hands down a SIGINT that is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with errors.open("w") as sys.stderr:
        code = main(arguments)
    os._exit(code)


def test_ctrl_c_ends_with_one_line_and_leaves_a_clean_folder(
    study_arguments: list[str], tmp_path: Path
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["embedding_geometry.study.run"])
    arguments = [*study_arguments, "--seeds", *map(str, range(200))]
    errors = tmp_path / "errors.txt"
    process = context.Process(target=study_in_child, args=(arguments, errors))
    process.start()
    cells = tmp_path / "out/cells"
    deadline = time.monotonic() + PATIENCE
    while len(list(cells.glob("*.json"))) < 2 and time.monotonic() < deadline:
        assert process.is_alive(), errors.read_text()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 130
    text = errors.read_text()
    assert "Traceback" not in text
    assert text.splitlines()[-1].startswith("interrupted; finished cells are kept")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json"}


# --- render -------------------------------------------------------------------------------------


def test_render_writes_strips_animations_and_frames(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "images"
    (out / "row").mkdir(parents=True)
    (out / "row/frame_007.png").write_text("of an earlier, longer path")
    options = [
        "--couplings",
        "row",
        "random",
        "--frames",
        "4",
        "--write",
        "strips",
        "gif",
        "webp",
        "mp4",
        "frames",
    ]
    assert main(render_arguments(tiny_folder, out, *options)) == 0
    assert str(out) in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [
        "random",
        "random.gif",
        "random.mp4",
        "random.webp",
        "row",
        "row.gif",
        "row.mp4",
        "row.webp",
        "strips.png",
    ]
    names = [f"frame_00{index}.png" for index in range(4)]
    assert sorted(path.name for path in (out / "row").iterdir()) == names
    row, random = read_frames(out / "row"), read_frames(out / "random")
    assert row.shape == (4, 64, 64, 3)
    assert np.abs(row[[0, -1]].astype(int) - random[[0, -1]]).max() <= 1
    assert (row[1:-1] != random[1:-1]).any()
    np.testing.assert_array_equal(read_frames(out / "row.webp"), row)
    for suffix in ("gif", "mp4"):
        assert len(read_frames(out / f"row.{suffix}")) == 4


def test_every_rendered_file_holds_the_settings(
    tiny_folder: Path, tmp_path: Path, tiny_model
) -> None:
    options = "--couplings row --frames 2 --seed 3 --guidance-scale 2 --negative-prompt snów"
    write = "--write strips gif webp mp4 frames"
    main(render_arguments(tiny_folder, tmp_path, *options.split(), *write.split()))
    files = ["row/frame_001.png", "row.gif", "row.webp", "row.mp4"]
    for file in files:
        found = embedded_settings(tmp_path / file)
        expected = {
            "coupling": "row",
            "source": "a small cat on the beach",
            "target": "two birds over the sea",
            "seed": 3,
            "steps": 1,
            "guidance_scale": 2.0,
            "negative_prompt": "snów",
        }
        assert expected.items() <= found.items(), file
        assert found["model"]["revision"] == tiny_model.provenance.revision
    strips = embedded_settings(tmp_path / "strips.png")
    assert strips == {"couplings": ["row"]} | {k: v for k, v in found.items() if k != "coupling"}


def test_render_says_what_the_frames_of_a_way_cost(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three rows for mixed predictions, guidance included, two for the frames of one text."""
    options = ["--couplings", "row", "scores", "--frames", "5", "--write", "frames"]
    assert main(render_arguments(tiny_folder, tmp_path, *options)) == 0
    shown = capsys.readouterr().out
    assert "row: 2.00 rows of the UNet a frame and step" in shown
    assert "scores: 3.00 rows of the UNet a frame and step" in shown
    scores, row = (read_frames(tmp_path / name).astype(int) for name in ("scores", "row"))
    assert np.abs(scores[[0, -1]] - row[[0, -1]]).max() <= 1
    assert np.abs(scores[2] - row[2]).max() > 1


def test_render_takes_seed_and_settings(tiny_folder: Path, tmp_path: Path) -> None:
    def frames(name: str, *options: str) -> np.ndarray:
        arguments = ["--couplings", "row", "--frames", "2", "--write", "frames"]
        main(render_arguments(tiny_folder, tmp_path / name, *arguments, *options))
        return read_frames(tmp_path / name / "row")

    first = frames("first", "--seed", "1")
    np.testing.assert_array_equal(frames("again", "--seed", "1"), first)
    changes = {"--seed": "2", "--guidance-scale": "1", "--negative-prompt": "snow", "--steps": "2"}
    for option, value in changes.items():
        assert (frames(option, "--seed", "1", option, value) != first).any(), option


def test_an_interrupted_render_keeps_the_couplings_that_are_finished(
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    finished = iter([eg.render])

    def interrupt_second(*arguments, **options):
        render = next(finished, None)
        if render is None:
            raise KeyboardInterrupt
        return render(*arguments, **options)

    monkeypatch.setattr(eg, "render", interrupt_second)
    options = ["--frames", "3", "--write", "strips", "gif", "frames"]
    assert main(render_arguments(tiny_folder, tmp_path, *options)) == 130
    assert f"interrupted; finished couplings are in {tmp_path}" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["row", "row.gif", "strips.png"]
    assert len(read_frames(tmp_path / "row")) == 3
    assert embedded_settings(tmp_path / "strips.png")["couplings"] == ["row"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--steps 0", "steps is 0"),
        ("--guidance-scale -1", "guidance_scale is -1"),
        ("--seed -1", "seed is -1"),
        ("--height 60", "height is 60"),
        ("--couplings diagonal", "'diagonal' is unknown"),
    ],
)
def test_options_are_checked_before_the_model_is_loaded(
    options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "no-such-model"
    assert main([*render_arguments(nowhere, tmp_path / "out"), *options.split()]) == 2
    assert message in capsys.readouterr().err


# --- ppl ----------------------------------------------------------------------------------------


def test_ppl_measures_folders_in_natural_order(
    tmp_path: Path, alex, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "a", ["1.png", "2.png", "10.png"])
    write_images(tmp_path / "b", ["x.png", "y.png"])
    assert main(["ppl", str(tmp_path / "a"), str(tmp_path / "b"), "--device", "cpu"]) == 0
    header, first, second, footer = capsys.readouterr().out.splitlines()
    columns = "path frames ppl total scaled_mean root_sum gini maximum_step variance"
    assert header.split() == [*columns.split(), "end_distance", "directness"]
    ordered = np.stack([np.asarray(Image.open(tmp_path / f"a/{n}.png")) for n in (1, 2, 10)])
    expected = perceptual_path_length(perceptual_distances(alex, ordered))
    name, frames, ppl, *_ = first.split()
    assert (name, frames) == (str(tmp_path / "a"), "3")
    assert float(ppl) == pytest.approx(expected.mean, rel=1e-5)
    assert second.split()[1] == "2"
    assert f"net alex, {alex.revision}, lpips" in footer


def test_ppl_measures_by_a_metric_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "def always_two(frames):\n    return [2.0] * (len(frames) - 1)\n"
    Path("constant_metric.py").write_text(code)
    write_images(tmp_path / "a", ["1.png", "2.png", "3.png"])
    assert main(["ppl", "a", "--net", "constant_metric:always_two"]) == 0
    _, row, footer = capsys.readouterr().out.splitlines()
    assert row.split()[:4] == ["a", "3", "2", "4"]
    assert footer.startswith("distances of consecutive images, net constant_metric:always_two, ")


@pytest.mark.filterwarnings(
    "default::embedding_geometry.perception.partners.MissingPartnersWarning"
)
def test_ppl_compares_two_folders_and_writes_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name in ("one", "two"):
            write_images(tmp_path / folder / name, ["1.png", "2.png", "3.png"])
    write_images(tmp_path / "b/three", ["1.png", "2.png"])
    files = ["--csv", str(tmp_path / "new/table.csv"), "--json", str(tmp_path / "new/report.json")]
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(["ppl", *folders, "--compare", "--seed", "5", "--device", "cpu", *files]) == 0
    shown = capsys.readouterr()
    assert f"{folders[0]} against {folders[1]}, 2 pairs, less is better" in shown.out
    assert shown.err == f"warning: left out, without a partner: 1 only in {folders[1]}: three\n"
    table = pd.read_csv(tmp_path / "new/table.csv")
    assert list(table["path"]) == [f"{f}/{name}" for f in folders for name in ("one", "two")]
    comparison = json.loads((tmp_path / "new/report.json").read_text())["comparison"]
    assert comparison["only_control"] == ["three"]
    assert [row["share_won"] for row in comparison["measures"]] == [0.5] * 7  # the same images


def test_ppl_measures_the_others_where_one_path_is_bad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "good", ["1.png", "2.png"])
    write_images(tmp_path / "bad", ["1.png"])
    paths = [str(tmp_path / name) for name in ("nowhere", "bad", "good")]
    table = tmp_path / "table.csv"
    assert main(["ppl", *paths, "--device", "cpu", "--csv", str(table)]) == 2
    shown = capsys.readouterr()
    assert paths[2] in shown.out
    assert pd.read_csv(table)["path"].tolist() == paths[2:]
    assert "error: 2 of 3 paths could not be measured: " in shown.err
    assert "nowhere is not a folder" in shown.err
    assert "bad holds 1 images" in shown.err


def test_ppl_compares_what_was_measured_and_names_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name in ("one", "two", "three"):
            write_images(tmp_path / folder / name, ["1.png", "2.png", "3.png"])
    (tmp_path / "b/two/2.png").write_text("a text")
    folders, report = [str(tmp_path / "a"), str(tmp_path / "b")], tmp_path / "report.json"
    options = ["--compare", "--device", "cpu", "--json", str(report)]
    assert main(["ppl", *folders, *options]) == 2
    shown = capsys.readouterr()
    assert "2 pairs, less is better" in shown.out
    assert "error: 1 of 6 paths could not be measured: " in shown.err
    assert list(json.loads(report.read_text())["failed"]) == [f"{folders[1]}/two"]
    write_images(tmp_path / "c", [])
    for name in ("one", "two", "three"):
        write_images(tmp_path / "c" / name, [f"{k}.png" for k in range(5)])
    (tmp_path / "a/three/3.png").unlink()  # 3 frames, 2 and 5
    options[-1] = str(tmp_path / "other.json")
    assert main(["ppl", folders[0], str(tmp_path / "c"), *options]) == 2
    shown = capsys.readouterr()
    assert "3 of 3 pairs have unequal numbers of frames" in shown.err
    assert len(json.loads((tmp_path / "other.json").read_text())["paths"]) == 6
    assert main(["ppl", folders[0], str(tmp_path / "c"), *options, "--frames", "2"]) == 0


def test_ppl_says_where_pictures_are_shown_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "a", ["1.png", "2.png", "3.png", "4.png"])
    write_images(tmp_path / "b", ["1.png", "2.png", "3.png"])
    (tmp_path / "a/3.png").write_bytes((tmp_path / "a/2.png").read_bytes())
    assert main(["ppl", str(tmp_path / "a"), str(tmp_path / "b"), "--device", "cpu"]) == 0
    header, *rows, _ = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["path", "frames", "distinct", "ppl"]
    assert [row.split()[1:3] for row in rows] == [["4", "3"], ["3", "3"]]


def test_ppl_holds_the_frames_between_against_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name in ("one", "two", "three"):
            write_images(tmp_path / folder / name, [f"{k}.png" for k in range(3)])
    write_images(tmp_path / "real", [f"{k}.png" for k in range(5)])
    folders, report = [str(tmp_path / "a"), str(tmp_path / "b")], tmp_path / "report.json"
    options = ["--fidelity", str(tmp_path / "real"), "--device", "cpu"]
    files = ["--csv", str(tmp_path / "table.csv"), "--json", str(report)]
    assert main(["ppl", *folders, "--compare", *options, *files]) == 0
    shown = capsys.readouterr().out
    assert f"fidelity to 5 pictures of {tmp_path / 'real'}, net vgg" in shown
    columns = "inner frames of paths realism realism_low realism_high kid kid_low kid_high"
    assert columns in " ".join(shown.split())
    assert "1/realism" in shown
    found = json.loads(report.read_text())
    assert list(found["fidelity"]) == folders
    assert found["fidelity"][folders[0]]["kid"] == found["fidelity"][folders[1]]["kid"]
    assert found["comparison"]["measures"][-1]["share_won"] == 0.5  # the same images
    assert (found["provenance"]["net"], found["provenance"]["reference_net"]) == ("alex", "vgg")
    assert pd.read_csv(tmp_path / "table.csv")["kid_low"].notna().all()


def test_a_table_fits_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.DataFrame({"path": ["a", "b"]} | {f"measure_{k}": [1 / 3, 1 / 7] for k in range(9)})
    monkeypatch.setenv("COLUMNS", "50")
    print_table(table)
    assert len(capsys.readouterr().out.splitlines()) == 3  # not to a terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 50
    assert (
        sum(line.startswith("b ") for line in lines) == sum("path" in line for line in lines) > 1
    )


# --- pairs --------------------------------------------------------------------------------------


def test_pairs_draws_from_crisscrossed_captions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = range(12)
    lines = [f"v:sentid:{k},v:sentid:{(k + 1) % 12},{k % 6},c2c_isim" for k in ids]
    scores, captions = tmp_path / "sts_val.csv", tmp_path / "dataset_coco.json"
    scores.write_text("\n".join(["caption1,caption2,agg_score,sampling_method", *lines]))
    sentences = [{"sentid": k, "raw": f"caption {k}"} for k in ids]
    captions.write_text(json.dumps({"images": [{"sentences": sentences}]}))
    out = tmp_path / "new/pairs.csv"
    files = ["--scores", str(scores), "--captions", str(captions), "--out", str(out)]
    assert main(["pairs", *files, "--per-grade", "1", "--seed", "3"]) == 0
    assert "6 of 12 pairs" in capsys.readouterr().out
    drawn = read_prompt_pairs(out)
    assert [pair.similarity for pair in drawn] == [5, 4, 3, 2, 1, 0]
    assert all(f"caption {pair.pair_id.split('-')[0]}" == pair.source for pair in drawn)


# --- info ---------------------------------------------------------------------------------------


def test_export_writes_every_graph_and_says_how_near_to_torch_it_is(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path), "--model", str(tiny_folder)]) == 0
    names = ["decoder.onnx", "metric.onnx", "text_encoder.onnx", "unet.onnx"]
    assert sorted(path.name for path in tmp_path.glob("*.onnx")) == names
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == [
        str(tmp_path / name) for name in names
    ]
    said = re.compile(r".*: \d+\.\d MB, differs from torch by \S+ at most")
    assert all(map(said.fullmatch, lines))


def test_export_names_the_package_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main_module, "find_spec", lambda name: None if name == "onnx" else True)
    assert main(["export", str(tmp_path)]) == 2
    assert "needs onnx;" in capsys.readouterr().err


def test_info_says_what_is_in_use(
    tiny_folder: Path, tiny_model, alex, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", "--model", str(tiny_folder), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    for fact in (
        f"revision {tiny_model.provenance.revision}, float32",
        f"alex, revision {alex.revision}",
        str(MODELS),
        f"python        {sys.version.split()[0]}",
        f"torch         {tiny_model.provenance.versions['torch']}",
    ):
        assert fact in shown


def test_the_model_of_the_environment_is_used_unless_another_is_named(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMBEDDING_GEOMETRY_MODEL", str(tiny_folder))
    assert main(["info", "--device", "cpu"]) == 0
    assert str(tiny_folder) in capsys.readouterr().out


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("study --pairs nowhere.csv --out {tmp}/out", "no table of prompt pairs at nowhere.csv"),
        ("study --pairs {pairs} --frames 2", "frames is 2; a path needs 3 or more"),
        ("study --pairs {pairs} --seeds", "seeds is empty"),
        ("study --pairs {pairs} --shard 0/3", "there is no shard 0/3"),
        ("study --pairs {pairs} --shard 4/3", "there is no shard 4/3"),
        ("study --pairs {pairs} --shard a/b", "shard 'a/b' is not of the form i/n"),
        ("study --pairs {pairs} --address head:6379", "add --engine ray"),
        ("study --pairs {pairs} --model no-such-model", "no-such-model"),
        ("study --pairs {pairs} --model {model} --out {pairs}/out", "Not a directory"),
        ("study --pairs {pairs} --model {model} --out {tmp}/o --publish {pairs}/p", "File exists"),
        ("study --pairs {pairs} --model {model} --dtype float7", "float7"),
        ("render cat dog --model no-such-model", "no-such-model"),
        ("render cat dog --model {model} --out {pairs}", "pairs.csv: File exists; allow writing"),
        ("render cat dog --model {model} --frames 1", "frames is 1"),
        ("render cat dog --model {model} --couplings", "couplings is empty"),
        (
            "render cat dog --model {model} --write",
            "write is empty; name one or more of strips, g",
        ),
        ("render cat dog --model {model} --couplings diagonal", "'diagonal' is unknown"),
        ("study --pairs {pairs} --couplings diagonal", "'diagonal' is unknown"),
        ("render cat dog --model {model} --device tpu", "tpu"),
        ("render cat dog --model {model} --steps 0", "steps is 0; use 1 or more"),
        ("study --pairs {pairs} --height 50", "height is 50; use a multiple of 8 pixels"),
        ("render cat dog --model {model} --seed -1 --out {tmp}/o", "seed is -1; use 0, 1, 2"),
        ("render cat dog --model {model} --seed 9223372036854775808", "seed is 9223372036854775"),
        ("study --pairs {pairs} --seeds 0 9223372036854775808", "seed is 9223372036854775"),
        ("ppl {tmp}/single --seed -1", "seed is -1"),
        ("pairs --scores {pairs} --captions {pairs} --seed -1", "seed is -1"),
        ("ppl", "0 paths are named"),
        ("ppl {tmp}/single --compare", "with --compare two folders"),
        ("ppl {tmp}/paths {tmp}/others --compare", "1 names are in both"),
        ("ppl {tmp}/nowhere", "nowhere"),
        ("ppl {tmp}/three --fidelity {tmp}/nowhere", "nowhere is not a folder of reference pict"),
        ("ppl {tmp}/three --fidelity {tmp}/single", "holds 1 images (.bmp"),
        ("ppl {tmp}/three --fidelity {tmp}/three", "a reference has 4 pictures or more"),
        ("ppl {tmp}/single {tmp}/single --csv {tmp}", "is a folder; name the file to write"),
        ("ppl {tmp}/paths --csv {tmp}/x --json {tmp}/x", "is named for both the CSV and the JSON"),
        ("ppl {tmp}/tiny", "tiny: frames of 16x16 pixels are too small"),
        ("study --pairs {pairs} --publish {tmp}", ", a folder; name the beginning of the files"),
        ("info --device meta", "device 'meta' computes nothing"),
        ("ppl {tmp}/single {tmp}/mixed --compare", "to measure two folders of images leave out"),
        (
            "render cat dog --model=",
            "the model's name is empty; name an embedded one, a folder",
        ),
        ("study --pairs {pairs} --model= --out {tmp}/o", "the model's name is empty"),
        ("info --model=", "the model's name is empty"),
        (
            "study --pairs {pairs} --model {model} --steps 2000 --out {tmp}/o --dry-run",
            "steps is 2000; the model was trained with 1000",
        ),
        ("ppl {tmp}/renamed.gif", "renamed.gif is neither a folder of images nor an animation"),
        ("ppl {tmp}/one.mp4 --json {tmp}/one.mp4", "one.mp4 is there and is no earlier output"),
        ("ppl {tmp}/three --frames 4", "of the 3 frames of {tmp}/three, 2, 3 can be taken"),
        ("ppl {tmp}/one.mp4", "one.mp4 holds 1 frames"),
        ("ppl {pairs}", "pairs.csv is neither a folder of images nor an animation"),
        ("pairs --scores {pairs} --captions {pairs} --out {pairs}", "one of the files to read"),
        ("pairs --scores {pairs} --captions {pairs} --out {tmp}", ", a folder or one of the"),
        ("study --pairs {pairs} --engine ray --address=", "address is empty; name the head"),
        ("pairs --scores {pairs} --captions {pairs}", "lacks the column caption1"),
        ("ppl {tmp}/empty", "holds 0 images"),
        ("ppl {tmp}/single", "holds 1 images"),
        ("ppl {tmp}/mixed", "have one size"),
        ("ppl {tmp}/corrupt", "1.png is not an image"),
        ("info --model no-such-model", "no-such-model"),
        ("record", "no study is named; "),
        ("record pocket_ways ways", "no study of the book is named 'ways'; there are pocket, po"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: str,
    message: str,
    pairs: Path,
    tiny_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    write_images(tmp_path / "single", ["1.png"])
    write_images(tmp_path / "three", ["1.png", "2.png", "3.png"])
    write_images(tmp_path / "mixed", ["1.png", "2.png"])
    for folder in ("paths/a", "paths/b", "others/a", "others/c"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (32, 64)).save(tmp_path / "mixed/3.png")
    write_images(tmp_path / "corrupt", ["1.png", "2.png"])
    (tmp_path / "corrupt/1.png").write_bytes(b"\x89PNG")
    (tmp_path / "renamed.gif").write_text("a text")
    (tmp_path / "tiny").mkdir()
    for name in "ab":
        Image.new("RGB", (16, 16)).save(tmp_path / f"tiny/{name}.png")
    write_animation(np.zeros((1, 64, 64, 3), np.uint8), tmp_path / "one.mp4", {})
    filled = arguments.format(tmp=tmp_path, pairs=pairs, model=tiny_folder)
    assert main(filled.split()) == 2
    line = one_line(capsys)
    assert line.startswith("error: ")
    assert message.replace("{tmp}", str(tmp_path)) in line


def test_where_nothing_can_be_published_nothing_is_computed(
    study_arguments: list[str], pairs: Path, tmp_path: Path
) -> None:
    assert main([*study_arguments, "--publish", str(pairs / "copy")]) == 2
    assert not list(tmp_path.rglob("cells/*"))


@pytest.mark.parametrize("folder", [".", ".."])
def test_a_folder_is_no_beginning_of_the_names_to_publish(
    folder: str, study_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*study_arguments, "--publish", folder]) == 2
    assert f"publish is {folder}, a folder; name the beginning" in one_line(capsys)
    assert not (tmp_path / "out").exists()


def test_where_nothing_can_be_written_nothing_is_rendered(
    tiny_folder: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eg, "render", lambda *_, **__: pytest.fail("it was rendered"))
    assert main(render_arguments(tiny_folder, pairs / "pictures")) == 2


@pytest.mark.parametrize(
    "full", ["strips.png", "row.gif", "row.webp", "row.mp4", "row/frame_000.png"]
)
def test_a_file_that_cannot_be_written_is_named(
    full: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system refuses to let a file grow, as it does where the disk is full."""
    out = tmp_path / "pictures"
    kind = full.removeprefix("row.").removesuffix(".png").replace("row/frame_000", "frames")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        assert main([*render_arguments(tiny_folder, out), "--write", kind]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"cannot write {out / full}: File too large" in last_line(capsys)
    assert not [path for path in out.rglob("*") if path.is_file()]


def test_a_folder_of_frames_that_cannot_be_made_is_named(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "row").write_text("a file")
    assert main([*render_arguments(tiny_folder, tmp_path), "--write", "frames"]) == 2
    assert f"cannot write {tmp_path / 'row'}: File exists" in last_line(capsys)


def test_a_prompt_that_is_too_long_is_one_line(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "cat " * 90, "dog", "--model", str(tiny_folder)]) == 2
    assert "77" in one_line(capsys)


def test_texts_that_are_too_long_are_cut_where_that_is_asked_for(
    pairs: Path, study_arguments: list[str], tiny_folder: Path, tmp_path: Path
) -> None:
    rendering = render_arguments(tiny_folder, tmp_path / "rendered", "--frames", "2")
    rendering[1] = "cat " * 90
    pairs.write_text(PAIRS.replace("cat", "cat " * 90))
    for command in (rendering, study_arguments):
        assert main(command) == 2
        assert main([*command, "--truncate", "--negative-prompt", "car " * 90]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("study", "--pairs"),
        ("study --pairs a --frames many", "--frames"),
        ("paint", "paint"),
    ],
)
def test_unknown_options_and_values_are_named(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
