"""Figures show what they are given: positions, colours, counts and order."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from embedding_geometry.pages import figures
from embedding_geometry.transport.ways import RULES, Ends

PAD = figures.PADDING


@pytest.fixture(autouse=True)
def clean_canvas():
    with plt.rc_context():
        figures.set_style()
        yield
        plt.close("all")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def luminance(colour):
    """Relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


COLOURS = [look.colour for look in figures.LOOKS.values()]
MODEL_COLOURS = [look.colour for look in figures.MODEL_LOOKS]


@pytest.mark.parametrize("colour", COLOURS + MODEL_COLOURS)
def test_couplings_and_models_stand_out_from_the_background(colour):
    """A contrast of 3, which WCAG 2 asks of graphics."""
    assert (1 + 0.05) / (luminance(colour) + 0.05) >= 3


@pytest.mark.parametrize("colours", [COLOURS, MODEL_COLOURS], ids=["couplings", "models"])
def test_colours_are_told_apart_also_by_the_colour_blind(colours):
    """Under simulated deuteranopia (Viénot et al. 1999) no two colours come near each other."""
    simulation = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    seen = np.array([simulation @ np.array(to_rgb(c)) for c in colours])
    gaps = np.linalg.norm(seen[:, None] - seen, axis=-1)[np.triu_indices(len(seen), 1)]
    assert gaps.min() > 0.15


def test_strip_shows_the_frames_in_order(rng):
    frames = rng.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    strips = figures.film_strips({"row": frames, "optimal": frames[::-1]})
    [first, second] = [ax.images[0].get_array() for ax in strips.axes]
    for k in range(5):
        left = k * 8  # six pixels and a gap of two
        np.testing.assert_array_equal(first[:, left : left + 6], frames[k])
        np.testing.assert_array_equal(second[:, left : left + 6], frames[4 - k])
    assert [ax.get_title("left") for ax in strips.axes] == ["● row", "■ optimal"]


@pytest.mark.parametrize("shape", [(8, 8), (8, 12), (12, 8)])
def test_frames_of_a_strip_keep_their_shape(shape, rng):
    frames = rng.integers(0, 256, (5, *shape, 3), dtype=np.uint8)
    distances = {"row": np.full(4, 0.1)}
    ax = figures.film_strips({"row": frames}, distances).axes[0]
    box = ax.get_window_extent()
    height, width = ax.images[0].get_array().shape[:2]
    assert box.width / box.height == pytest.approx(width / height)


def test_step_distances_lie_between_their_frames(rng):
    frames = rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    distances = {"row": np.array([0.1, 0.2, 0.3])}
    [strip, below] = figures.film_strips({"row": frames}, distances).axes
    [line] = below.lines
    np.testing.assert_array_equal(line.get_xdata(), [0.5, 1.5, 2.5])
    np.testing.assert_array_equal(line.get_ydata(), distances["row"])
    assert below.get_xlim() == strip.get_xlim()
    assert line.get_color() == figures.look("row").colour


def test_steps_without_any_change_can_be_drawn():
    ax = figures.step_distances({"row": np.zeros(4)})
    assert ax.get_ylim()[0] == 0


def test_numbers_of_the_steps_stand_at_their_height():
    ax = figures.step_distances({"row": np.array([0.0, 0.31])})
    written = [float(text.get_text()) for text in ax.texts]
    assert len(written) >= 2
    assert written == pytest.approx([text.get_position()[1] for text in ax.texts])


def test_gallery_can_name_its_columns_alone(rng):
    images = rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    sheet = figures.gallery(images, ["left", "right"], columns=2)
    assert [ax.get_title() for ax in sheet.axes] == ["left", "right", "", ""]
    assert [len(ax.images) for ax in sheet.axes] == [1, 1, 1, 1]


def test_gallery_leaves_unused_places_empty(rng):
    images = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    sheet = figures.gallery(images, list("abcde"), columns=3)
    assert [ax.get_title() for ax in sheet.axes] == [*"abcde"]
    assert [len(ax.images) for ax in sheet.axes] == [1, 1, 1, 1, 1]


def test_pipeline_diagram_prints_the_sizes_it_is_given():
    diagram = figures.pipeline_diagram((77, 256), (12, 8, 8), (64, 48), 20)
    text = " ".join(t.get_text() for t in diagram.axes[0].texts)
    for size in ("77 rows × 256", "12×8×8", "64 × 48 pixels", "20 steps"):
        assert size in text


def test_heatmap_shows_all_words_and_the_first_padding(rng):
    labels = ["<bos>", "cat", "<eos>", *[PAD] * 9]
    cloud = rng.normal(size=(12, 4))
    ax = figures.token_heatmap(cloud, labels, padding=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == labels[:5]
    [cells] = ax.collections
    np.testing.assert_array_equal(cells.get_array(), cloud[:5])
    assert cells.norm(0) == pytest.approx(0.5)  # white, whatever the extremes


def test_principal_plane_of_flat_points_keeps_their_distances(rng):
    flat = rng.normal(size=(20, 2)) @ np.linalg.qr(rng.normal(size=(7, 2)))[0].T
    plane = figures.principal_plane(flat)
    apart = np.linalg.norm(flat[:, None] - flat, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(plane[:, None] - plane, axis=-1), apart, atol=1e-12)
    assert plane[:, 0].var() >= plane[:, 1].var()


def test_scaling_of_planar_distances_recovers_them(rng):
    points = rng.normal(size=(12, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    found = figures.classical_scaling(distances)
    np.testing.assert_allclose(
        np.linalg.norm(found[:, None] - found, axis=-1), distances, atol=1e-9
    )


def test_coupling_map_joins_each_point_to_its_partner(rng):
    x, y, sigma = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.permutation(5)
    ax = figures.coupling_map(x, y, sigma, "optimal")
    plane = figures.principal_plane(np.concatenate([x, y]))
    *pairs, of_x, of_y = (line.get_xydata() for line in ax.lines)
    drawn = np.array(pairs)
    np.testing.assert_allclose(drawn[:, 0], plane[:5])
    np.testing.assert_allclose(drawn[:, 1], plane[5:][sigma])
    np.testing.assert_allclose(np.concatenate([of_x, of_y]), plane)


def test_coupling_matrix_counts_padding_together():
    labels_x = ["<bos>", "cat", "<eos>", PAD, PAD]
    labels_y = ["<bos>", "<eos>", PAD, PAD, PAD]
    ax = figures.coupling_matrix(np.array([0, 4, 1, 2, 3]), labels_x, labels_y)
    [squares] = ax.collections
    assert np.argwhere(~squares.get_array().mask).tolist() == [[0, 0], [1, 2], [2, 1], [3, 2]]
    [number] = [text for text in ax.texts if text.get_text()]
    assert (number.get_text(), number.get_position()) == ("2", (2.5, 3.5))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["<bos>", "cat", "<eos>", "padding ×2"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["<bos>", "<eos>", "padding ×3"]


def test_coupling_matrix_names_every_token_of_a_long_sentence():
    labels = [f"word{k}" for k in range(60)]
    ax = figures.coupling_matrix(np.arange(60), labels, labels)
    assert [t.get_text() for t in ax.get_xticklabels()] == labels
    assert [t.get_text() for t in ax.get_yticklabels()] == labels


def test_wasserstein_map_marks_groups_at_their_middle(rng):
    distances = rng.random((5, 5))
    ax = figures.wasserstein_map(distances, ["a", "a", "a", "b", "b"])
    np.testing.assert_array_equal(ax.collections[0].get_array(), distances)
    assert ax.get_yticks().tolist() == [1.5, 4.0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    across, down = (lines.get_segments()[0].tolist() for lines in ax.collections[1:3])
    assert across == [[0, 3], [5, 3]]
    assert down == [[3, 0], [3, 5]]


def test_embedding_joins_the_members_of_a_group(rng):
    points = rng.normal(size=(4, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    ax = figures.wasserstein_embedding(distances, ["a", "b", "a", "b"])
    found = figures.classical_scaling(distances)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), found[[0, 2]])
    np.testing.assert_allclose(ax.lines[1].get_xydata(), found[[1, 3]])


def test_curves_use_the_palette_and_are_named():
    ax = figures.curves(
        [0, 1], {"row": np.array([1.0, 2.0]), "worst": np.array([3.0, 4.0])}, "x", "y"
    )
    assert [line.get_label() for line in ax.lines] == ["row", "worst"]
    colours = [line.get_color() for line in ax.lines]
    assert colours == [figures.look("row").colour, figures.look("worst").colour]
    assert ax.get_ylim()[0] == 0


def test_couplings_differ_by_more_than_colour():
    _, markers, glyphs = zip(*figures.LOOKS.values(), strict=True)
    assert len(set(markers)) == len(set(glyphs)) == len(figures.LOOKS)


def test_a_coupling_of_no_look_is_drawn_all_the_same(rng):
    values = {"row": np.array([1.0, 2.0]), "newest": np.array([2.0, 1.0])}
    row, newest = figures.curves([0, 1], values, "x", "y").lines
    assert newest.get_color() == figures.INK != row.get_color()
    assert newest.get_marker() != row.get_marker()
    frames = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    strip, below = figures.film_strips({"newest": frames}, {"newest": np.ones(2)}).axes
    assert strip.get_title("left") == "newest"
    assert len(below.lines) == 1


def study_pairs(rng):
    pairs = pd.DataFrame({"grade": np.repeat([5, 3, 0], 10)})
    for name in ("row", "optimal", "random"):
        pairs[name] = rng.uniform(0.1, 1, len(pairs))
    pairs["improvement"] = (pairs["row"] - pairs["optimal"]) / pairs["row"]
    return pairs


def test_distributions_have_a_panel_for_each_grade_most_similar_first(rng):
    pairs = study_pairs(rng)
    panels = figures.ppl_distributions(pairs, ["row", "optimal", "random"]).axes
    titles = [f"grade {grade}, n = 10" for grade in (5, 3, 0)]
    assert [ax.get_title() for ax in panels[:3]] == titles
    joined = [line.get_ydata() for line in panels[0].lines if line.get_color() == figures.FAINT]
    np.testing.assert_array_equal(
        joined, pairs.loc[pairs["grade"] == 5, ["row", "optimal", "random"]]
    )


@pytest.mark.parametrize(("low", "high"), [(0.8, 1.3), (0.1, 2.0), (1e-4, 0.5)])
def test_distributions_have_enough_numbers_on_every_scale(low, high):
    pairs = pd.DataFrame({"grade": 5, "row": np.geomspace(low, high, 9)})
    [ax] = figures.ppl_distributions(pairs, ["row"]).axes
    bottom, top = ax.get_ylim()
    shown = [tick for tick in ax.get_yticks() if bottom <= tick <= top]
    assert 2 <= len(shown) <= 6


def test_boxes_keep_the_order_from_top_to_bottom(rng):
    ax = figures.boxes({"top": rng.normal(size=9), "bottom": rng.normal(size=9)}, "x")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["top, n = 9", "bottom, n = 9"]
    assert list(ax.get_yticks()) == [0, 1]
    assert ax.yaxis.get_inverted()


def boxes_drawn(ax, along):
    """The lower and upper ends of boxes and of whiskers, and the medians."""
    corners = [patch.get_path().vertices[:, along] for patch in ax.patches]
    middles = [line.get_xydata()[:, along] for line in ax.lines if line.get_linewidth() == 1.8]
    return [(min(c), max(c)) for c in corners], [median[0] for median in middles]


def test_boxes_hold_the_middle_half_and_whiskers_the_middle_90_per_cent(rng):
    ax = figures.boxes({"a": np.arange(101.0), "b": 2 * np.arange(101.0)}, "x")
    assert boxes_drawn(ax, 0) == ([(25, 75), (50, 150)], [50, 100])
    whiskers = {x for line in ax.lines for x in line.get_xdata() if x not in (25, 75, 50, 100)}
    assert {5, 95, 10, 190} <= whiskers
    assert {0, 4, 96, 100} <= set(ax.lines[5].get_xdata())  # beyond them, dots


def test_boxes_of_positive_values_start_at_zero():
    ax = figures.boxes({"a": np.array([1.0, 2.0, 3.0])}, "x")
    assert ax.get_xlim()[0] == 0


def test_forest_draws_estimates_and_intervals_from_top_to_bottom():
    effects = pd.DataFrame(
        {"estimate": [1.0, -2.0], "low": [0.5, -3.0], "high": [2.0, -1.0]}, index=["a", "b"]
    )
    [ax] = figures.forest({"effect": effects}).axes
    [intervals] = ax.collections
    np.testing.assert_array_equal(
        intervals.get_segments(), [[[0.5, 1], [2.0, 1]], [[-3.0, 0], [-1.0, 0]]]
    )
    np.testing.assert_array_equal(ax.lines[-1].get_xydata(), [[1.0, 1], [-2.0, 0]])
    [counted] = figures.forest({"effect": effects.assign(n=[7, 8])}).axes
    assert [t.get_text() for t in counted.get_yticklabels()] == ["a, n = 7", "b, n = 8"]


def test_panels_of_a_forest_stand_below_each_other_on_one_scale():
    table = pd.DataFrame(
        {"estimate": [1.0, 2], "low": [0.0, 1], "high": [2.0, 3]}, index=["a", "b"]
    )
    upper, lower = figures.forest({"first": table, "second": 10 * table}).axes
    assert [upper.get_xlabel(), lower.get_xlabel()] == ["first", "second"]
    assert upper.get_position().y0 > lower.get_position().y0
    assert upper.get_xlim() == lower.get_xlim()
    np.testing.assert_array_equal(lower.lines[-1].get_xydata(), [[10.0, 1], [20.0, 0]])


def test_panels_of_ways_show_every_curve_both_clouds_and_what_is_in_both(rng):
    x, y, stop = rng.normal(size=(3, 5, 2))
    y[2] = x[2]
    times = np.linspace(0, 1, 7)[:, None, None]
    paths = {"row": (1 - times) * x + times * y, "short": (1 - times) * x + times * stop}
    figure = figures.way_panels(Ends(x, y, x_end=3, y_end=3), paths)
    drawn = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in drawn] == ["row", "short"]
    assert drawn[0].title.get_color() == figures.look("row").colour
    for ax, path in zip(drawn, paths.values(), strict=True):
        curves, (ends, dots, rings, crosses) = ax.lines[:5], ax.lines[5:]
        np.testing.assert_array_equal([line.get_xydata() for line in curves], path.swapaxes(0, 1))
        for line, points in zip(
            (ends, dots, rings, crosses), (path[-1], x, y, x[[2]]), strict=True
        ):
            np.testing.assert_array_equal(line.get_xydata(), points)


def test_planted_ends_share_their_start_and_move_all_else():
    ends = figures.planted_ends()
    assert ends.x.shape == ends.y.shape == (7, 2)
    assert (ends.x == ends.y).all(axis=1).tolist() == [True] + [False] * 6


def test_improvement_plot_shows_medians_in_per_cent_and_keeps_outliers_at_the_edge(rng):
    pairs = study_pairs(rng)
    pairs.loc[0, "improvement"] = -9.0
    ax = figures.improvement_by_similarity(pairs)
    shown = ax.collections[0].get_offsets()[:, 1]
    assert shown.min() == -100
    assert len(shown) == len(pairs)
    assert [t.get_text() for t in ax.get_xticklabels()] == [f"{g}\nn = 10" for g in (0, 3, 5)]
    medians = 100 * pairs.groupby("grade")["improvement"].median()
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), medians)


def test_lengths_along_the_scale_show_pairs_and_medians_of_the_grades(rng):
    lengths = pd.DataFrame(1 + rng.random((6, 3)), columns=["optimal", "half", "worst"])
    grades = pd.Series([5, 5, 5, 0, 0, 0])
    ax = figures.lengths_along_scale(lengths, grades)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list(lengths)
    assert ax.get_yscale() == "log"
    *pairs, of_0, of_5 = ax.lines
    assert len(pairs) == 6
    np.testing.assert_allclose(of_0.get_ydata(), lengths[grades == 0].median())
    np.testing.assert_allclose(of_5.get_ydata(), lengths[grades == 5].median())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "5"]


def test_dose_and_response_have_a_panel_for_each_grade_and_a_line_for_each_pair():
    columns = ["grade", "pair_id", "coupling", "length", "response"]
    rows = [
        (5, "a", "worst", 2.0, 1.5), (5, "a", "optimal", 1.0, 0.5), (5, "a", "half", 1.4, 1.0),
        (0, "b", "optimal", 1.0, 1.0), (0, "b", "worst", 1.2, 1.1),
        (0, "c", "optimal", 1.0, 0.9), (0, "c", "worst", 1.1, 1.0),
    ]  # fmt: skip
    figure = figures.dose_response(pd.DataFrame(rows, columns=columns), slope=2.0)
    of_5, of_0 = figure.axes
    assert [ax.get_title() for ax in (of_5, of_0)] == ["grade 5, n = 1", "grade 0, n = 2"]
    pair, optimal, worst, dashed = of_5.lines
    np.testing.assert_array_equal(pair.get_xdata(), [1.0, 1.4, 2.0])
    np.testing.assert_array_equal(pair.get_ydata(), [0.5, 1.0, 1.5])
    np.testing.assert_allclose(dashed.get_ydata(), [1, 4])
    assert [mark.get_marker() for mark in (pair, optimal, worst)] == [".", "s", "D"]
    assert (optimal.get_xydata().tolist(), worst.get_xydata().tolist()) == ([[1, 0.5]], [[2, 1.5]])
    assert len(of_0.lines) == 2 + 2 + 1  # pairs, couplings, the slope
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["optimal", "worst"]


def test_cost_curves_start_at_zero_and_show_points_and_line():
    points = pd.DataFrame(
        {
            "what": ["study"] * 2 + ["distances"] * 3,
            "axis": ["frames"] * 2 + ["tokens"] * 3,
            "size": [2, 4, 1, 2, 3],
            "seconds": [3.0, 5.0, 1.0, 4.0, 9.0],
        }
    )
    lines = pd.DataFrame({"slope": [1.0, 4.0], "intercept": [1.0, -3.0]}, ["frames", "tokens"])
    first, second = figures.cost_curves(points, lines).axes
    assert (first.get_xlabel(), second.get_xlabel()) == ("frames", "tokens")
    assert (first.get_title(), second.get_title()) == ("study", "distances")
    line, dots = first.lines
    np.testing.assert_array_equal(line.get_xydata(), [[0, 1], [4, 5]])
    np.testing.assert_array_equal(dots.get_xydata(), [[2, 3], [4, 5]])
    assert [ax.get_xlim()[0] for ax in (first, second)] == [0, 0]
    assert [ax.get_ylim()[0] for ax in (first, second)] == [0, 0]


def flow_table(tokens):
    kinds = list(figures.KIND_COLOURS)
    ways = [(a, b) for a in kinds for b in kinds]
    table = pd.DataFrame(ways, columns=["kind", "target_kind"])
    table["tokens"] = [tokens.get(way, 0.0) for way in ways]
    return table


def test_flows_are_as_high_as_their_tokens_and_the_padding_is_a_number():
    ways = {("BOS", "BOS"): 1, ("word", "word"): 5, ("word", "padding"): 2, ("EOS", "EOS"): 1}
    table = flow_table(ways | {("padding", "word"): 3, ("padding", "padding"): 60})
    [ax] = figures.token_flows({"all": table}).axes
    corners = [band.get_paths()[0].vertices for band in ax.collections]
    starts, ends = ([np.ptp(c[c[:, 0] == x, 1]) for c in corners] for x in (0.03, 0.97))
    assert starts == pytest.approx(ends)
    assert sorted(filter(None, np.round(starts, 9))) == [1, 1, 2, 3, 5]
    assert [bar.get_height() for bar in ax.patches] == [-1, -7, -1, -3, -1, -8, -1, -2]
    texts = [text.get_text() for text in ax.texts]
    assert texts == [
        *["BOS\n1.0", "word\n7.0", "EOS\n1.0", "padding\n3.0"],
        *["BOS\n1.0", "word\n8.0", "EOS\n1.0", "padding\n2.0"],
    ]
    assert ax.get_xlabel() == "padding to padding: 60.0"


def test_panels_of_flows_have_one_scale():
    small, large = flow_table({("word", "word"): 2}), flow_table({("word", "word"): 20})
    first, second = figures.token_flows({"a": small, "b": large}).axes
    assert first.get_ylim() == second.get_ylim()


def test_shares_by_place_have_their_bands():
    table = pd.DataFrame({"share": [10.0, 20], "low": [5.0, 15], "high": [15.0, 25]})
    ax = figures.shares_by_place({"free": table, "rigid": table + 50}, "moved, %")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[10, 20], [60, 70]]
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"]
    assert len(ax.collections) == 2
    assert len(figures.shares_by_place({"free": table}, "moved, %").lines) == 1  # no control


def test_retimed_frames_are_joined_with_their_times(rng):
    frames = rng.integers(0, 256, (2, 5, 8, 8, 3), dtype=np.uint8)
    times = np.array([0, 0.4, 0.5, 0.6, 1])
    distances = np.array([0.0, 4, 4, 0]), np.array([2.0, 2, 2, 2])
    figure = figures.retimed_strips(tuple(frames), times, distances, "row")
    between = next(ax for ax in figure.axes if not ax.images and len(ax.lines) == 5)
    ends = [line.get_xdata().tolist() for line in between.lines]
    assert ends == [pytest.approx([4 * t, k]) for k, t in enumerate(times)]
    strips = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    np.testing.assert_array_equal(strips[1][:, :8], frames[1, 0])
    before, after = figure.axes[-1].lines
    assert before.get_ydata().tolist() == [0, 4, 4, 0]
    assert after.get_ydata().tolist() == [2, 2, 2, 2]


def test_before_and_after_stand_side_by_side(rng):
    sides = rng.uniform(1, 2, 20), rng.uniform(0, 1, 20)
    ax = figures.before_and_after({"row": sides, "random": sides[::-1]}, "Gini coefficient")
    labels = [tick.get_text() for tick in ax.get_xticklabels()]
    assert labels == ["row\nbefore", "row\nafter", "random\nbefore", "random\nafter"]
    halves, medians = boxes_drawn(ax, 1)
    drawn = (*sides, *sides[::-1])
    assert medians == pytest.approx([np.median(each) for each in drawn])
    np.testing.assert_allclose(halves, [np.quantile(each, [0.25, 0.75]) for each in drawn])
    joined = [line.get_xydata() for line in ax.lines if line.get_color() == figures.FAINT]
    np.testing.assert_array_equal(
        joined[:20], [[(0, b), (1, a)] for b, a in zip(*sides, strict=True)]
    )


def test_a_notice_stands_in_the_place_of_a_picture():
    [text] = figures.notice("there is none").texts
    assert text.get_text() == "there is none"


# --- rivals -------------------------------------------------------------------------------------


def points_of(ways):
    """Points of a plane at planted places, with intervals around them."""
    table = pd.DataFrame(ways, index=["ppl", "realism"]).T
    for name in ("ppl", "realism"):
        table = table.assign(
            **{f"{name}_low": 0.9 * table[name], f"{name}_high": 1.2 * table[name]}
        )
    return table


def test_the_plane_has_each_way_at_its_place_with_its_interval_and_the_front():
    points = points_of({"row": (1.0, 1.0), "cross-fade": (0.3, 0.9), "own": (2.0, 0.5)})
    fronts = {"one": ["cross-fade", "row"]}
    figure = figures.smoothness_and_fidelity({"one": points, "other": points}, 0.05, fronts)
    ax, other = figure.axes
    lines = [[list(line.get_xdata()) for line in each.lines] for each in (ax, other)]
    assert [[0.3, 1.0] in each for each in lines] == [True, False]
    drawn = {tuple(line.get_xydata()[0]): line for line in ax.lines if len(line.get_xdata()) == 1}
    assert {(1.0, 1.0), (0.3, 0.9)} <= drawn.keys()
    assert any(np.allclose(place, (2.0, 0.85)) for place in drawn)  # on the floor
    assert drawn[(0.3, 0.9)].get_color() == figures.rival_look("cross-fade").colour
    assert drawn[(1.0, 1.0)].get_color() == figures.look("row").colour
    bars = [path.vertices.tolist() for c in ax.collections for path in c.get_paths()]
    ends = [np.ravel(bar) for bar in bars if len(bar) == 2]
    assert any(np.allclose(bar, [0.27, 0.9, 0.36, 0.9]) for bar in ends)
    assert any(np.allclose(bar, [0.3, 0.81, 0.3, 1.08]) for bar in ends)
    [shade] = [patch for patch in ax.patches if patch.get_alpha() == 0.5]
    assert shade.get_y() + shade.get_height() == pytest.approx(0.95)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(points.index)


def test_rivals_differ_by_more_than_colour():
    names = ["row", "optimal", *RULES, "slerp-matrix", "slerp-tokens", "slerp-optimal"]
    assert len({figures.rival_look(name).marker for name in names}) == len(names)


def test_labels_of_the_planes_do_not_overlap():
    points = points_of({"row": (1.0, 1.0), **{name: (0.5, 0.7) for name in RULES}})
    figure = figures.smoothness_and_fidelity({f"grade {g}": points for g in range(6)}, 0.05, {})
    figure.canvas.draw()
    [legend] = figure.legends
    boxes = [figure._supxlabel, figure._supylabel, legend, *(ax.title for ax in figure.axes)]
    extents = [box.get_window_extent() for box in boxes]
    inside = figure.bbox
    for k, first in enumerate(extents):
        assert inside.x0 <= first.x0
        assert first.x1 <= inside.x1
        assert not any(first.overlaps(other) for other in extents[k + 1 :])


def profile(level, grades):
    """Median, quartiles and number of pairs of each step of ten."""
    index = pd.MultiIndex.from_product([grades, np.arange(0.05, 1, 0.1)], names=["grade", "time"])
    columns = {"low": level / 2, "median": level, "high": 2 * level, "n": round(100 * level)}
    return pd.DataFrame(columns, index=index)


def test_step_profiles_have_a_panel_for_each_grade_and_a_line_and_band_for_each_model():
    profiles = {"b": profile(0.2, [5, 0]), "a": profile(0.1, [5, 0]), "third": profile(0.3, [5])}
    figure = figures.step_profiles(profiles)
    of_5, of_0 = figure.axes
    assert of_5.get_title() == "grade 5, n = 20 and 10 and 30"
    assert of_0.get_title() == "grade 0, n = 20 and 10"
    np.testing.assert_allclose([line.get_ydata()[3] for line in of_5.lines], [20, 10, 30])
    assert [line.get_color() for line in of_5.lines] == MODEL_COLOURS
    assert len(of_0.lines) == len(of_0.collections) == 2
    edges = of_0.collections[1].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((5, 20))
    assert of_5.get_ylim() == of_0.get_ylim()
    assert of_5.get_ylim()[0] == 0
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["b", "a", "third"]


def test_constants_are_drawn_by_grade_and_coupling():
    index = pd.MultiIndex.from_product(
        [[5, 0], ["row", "optimal"], [0.25, 0.75]], names=["grade", "coupling", "time"]
    )
    table = pd.DataFrame({"low": 1.0, "median": 2.0, "high": 3.0}, index=index)
    figure = figures.constants(table, ["row", "optimal"])
    assert [ax.get_title() for ax in figure.axes] == ["grade 5", "grade 0"]
    row, optimal = figure.axes[0].lines
    assert row.get_color() == figures.look("row").colour
    assert optimal.get_xydata().tolist() == [[0.25, 2.0], [0.75, 2.0]]
