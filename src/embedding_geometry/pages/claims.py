"""The claims of the poster and of this book, in reading order, and what decides each.

A chapter adds a `Section` to `SECTIONS`: the claims of a page that rest on one table of `records`,
with the function of `findings` that says what the table shows and what verdict follows.
"""

from collections.abc import Mapping

from embedding_geometry.ground.records import (
    ATLAS,
    BENCHMARKS,
    DOSE,
    GRIDS,
    ORDER,
    POCKET,
    REPEAT,
    RETIMING,
    STUDY,
    WAYS,
)
from embedding_geometry.pages.findings import (
    ARRIVING,
    COMPANIONS,
    COUPLINGS,
    EVENNESS,
    GRADES,
    atlas_findings,
    distance_cost_findings,
    dose_findings,
    grid_findings,
    order_findings,
    path_findings,
    poster_findings,
    repeat_findings,
    retiming_findings,
    same_scene_findings,
    secondary_findings,
    size_findings,
    study_cost_findings,
    ways_findings,
)
from embedding_geometry.pages.ledger import Claim, Section

POSTER = "The poster's claims"
PATHS = "Paths of clouds"
STATISTICS = "Perceptual path length and statistics"
COSTS = "What it costs"
BACKBONES = "Which models see a prompt as a point cloud?"
DOSES = "Do shorter paths give shorter paths?"
OTHER_WAYS = "Other ways from A to B"
PROMPTS = "More than two prompts"
TEMPO = "Where do the tokens go, and how fast does the picture change?"


def _claims(anchor: str, statements: Mapping[str, str]) -> tuple[Claim, ...]:
    """Claims by their identifiers, all shown at one place of their page."""
    return tuple(Claim(name, statement, anchor) for name, statement in statements.items())


SHORTER = "the optimal coupling has a lower PPL than row order"
SECONDARY = (
    {f"grade-{grade}": f"Among pairs of grade {grade}, {SHORTER}." for grade in GRADES}
    | {
        "rigid-control": f"Where both sentences have the same form, {SHORTER}.",
        "optimal-against-random": "The optimal coupling has a lower PPL than a random one.",
        "row-against-random": "Row order has a lower PPL than a random coupling.",
        "row-against-worst": "Row order has a lower PPL than the worst coupling.",
        "optimal-against-worst": "The optimal coupling has a lower PPL than the worst one.",
        "random-against-worst": "A random coupling has a lower PPL than the worst one.",
    }
    | {
        measure: f"The {name} is lower along the optimal coupling than in row order."
        for measure, name in COMPANIONS.items()
    }
)

SMOOTHER = (
    {"ways-any": "Some other way is smoother than the optimal coupling."}
    | {
        f"ways-{way}-against-{control}": f"The way {way} has a lower PPL than {name}."
        for control, name in {"optimal": "the optimal coupling", "row": "row order"}.items()
        for way in ARRIVING
    }
    | {
        "ways-optimal-against-row": "On the pairs of this study too, " + SHORTER + ".",
        "ways-centred": "The optimal coupling of the centred clouds is the optimal coupling.",
    }
)
EVENER = {
    f"retimed-{coupling}-{measure}": f"Steps of equal length lower the {name}, coupling "
    f"{coupling}."
    for coupling in COUPLINGS
    for measure, name in EVENNESS.items()
} | {
    f"tempo-{when}-{measure}": f"At {times}, the {name} is lower along the optimal coupling than "
    "in row order."
    for when, times in {"before": "equal times", "after": "equal steps"}.items()
    for measure, name in (EVENNESS | {"ppl": "PPL"}).items()
}

SECTIONS: tuple[Section, ...] = (
    Section(
        POSTER,
        "06_statistics",
        ORDER,
        _claims(
            "sec-verdicts",
            {"poster-1": "Poster, claim 1: pictures do not depend on the order of the tokens."},
        ),
        order_findings,
    ),
    Section(
        POSTER,
        "06_statistics",
        STUDY,
        _claims(
            "sec-verdicts",
            {
                "poster-2": f"Poster, claim 2: {SHORTER}.",
                "poster-3": "Poster, claim 3: the improvement is greater for more similar "
                "prompts.",
            },
        ),
        poster_findings,
    ),
    Section(
        PATHS,
        "04_paths",
        STUDY,
        _claims(
            "length",
            {
                "geodesic": "The path of clouds along the optimal coupling is as long as the "
                "Wasserstein distance of its ends, and no other coupling's is shorter.",
                "row-is-longer": "The path of clouds is shorter along the optimal coupling than "
                "in row order.",
            },
        ),
        path_findings,
    ),
    Section(
        STATISTICS,
        "06_statistics",
        REPEAT,
        _claims(
            "on-another-processor",
            {
                "repeated": "Computed again on another processor, the study leads to the same "
                "verdicts on the poster's claims 2 and 3."
            },
        ),
        repeat_findings,
    ),
    Section(
        STATISTICS,
        "06_statistics",
        STUDY,
        _claims("secondary-comparisons", SECONDARY)
        + _claims(
            "improvement-and-similarity",
            {
                "saving": "The improvement is greater where the optimal coupling shortens the "
                "path of clouds by more."
            },
        ),
        secondary_findings,
    ),
    Section(
        COSTS,
        "08_costs",
        BENCHMARKS["study"],
        _claims(
            "a-study-s-cell",
            {
                "faster-than-tutorials": "A study is faster than the tutorials' loop, frame by "
                "frame.",
                "faster-than-batches": "A study is faster than the same libraries batch by batch.",
            },
        ),
        study_cost_findings,
    ),
    Section(
        COSTS,
        "08_costs",
        BENCHMARKS["wasserstein"],
        _claims(
            "distances-between-all-pairs",
            {
                "faster-than-pot": "All Wasserstein distances are found faster than by a loop "
                "over POT's exact solver.",
                "faster-than-pools": "They are found faster than by POT or SciPy in a pool of "
                "processes.",
            },
        ),
        distance_cost_findings,
    ),
    Section(
        COSTS,
        "08_costs",
        BENCHMARKS["costs"],
        _claims(
            "how-the-time-grows",
            {
                "straight-study": "The time of a study grows along a straight line with frames "
                "and with prompt pairs.",
                "straight-distances": "The time of the distances grows along a straight line "
                "with pairs of clouds and with dimensions.",
            },
        ),
        size_findings,
    ),
    Section(
        BACKBONES,
        "09_atlas",
        ATLAS,
        _claims(
            "the-atlas",
            {
                "classic": "Stable Diffusion 1, 2 and XL see their text as a measure.",
                "unets": "Every UNet of the atlas sees its text as a measure.",
                "joint": "Every model with joint attention whose text tokens have no places of "
                "their own sees its text as a multiset.",
                "unordered": "The poster's claim 1 holds for every model of the atlas: the order "
                "of the tokens does not matter.",
            },
        )
        + _claims(
            "why",
            {"cause": "Where the order matters, it stops mattering once its cause is taken out."},
        ),
        atlas_findings,
    ),
    Section(
        DOSES,
        "10_dose",
        DOSE,
        _claims(
            "slopes-within-pairs",
            {
                "dose": "The shorter the path of clouds, the lower the PPL.",
            },
        )
        + _claims(
            "a-model-of-all-pairs-together",
            {
                "dose-beyond-name": "Beyond the coupling's name, too, the shorter the path of "
                "clouds, the lower the PPL."
            },
        ),
        dose_findings,
    ),
    Section(
        DOSES,
        "10_dose",
        POCKET,
        _claims(
            "the-same-scene-on-other-pairs",
            {
                "dose-same-scene": "Between two descriptions of the same scene, the shorter the "
                "path of clouds, the lower the PPL."
            },
        ),
        same_scene_findings,
    ),
    Section(
        OTHER_WAYS,
        "11_ways",
        WAYS,
        _claims("which-way-is-smoother", SMOOTHER),
        ways_findings,
    ),
    Section(
        PROMPTS,
        "12_barycenters",
        GRIDS,
        _claims(
            "barycenter-against-mean-of-rows",
            {
                f"central-{shape}": f"At every point of the {shape} that is no corner, the "
                "barycenter is more central than the mean of rows."
                for shape in ("triangle", "square")
            },
        ),
        grid_findings,
    ),
    Section(
        TEMPO,
        "13_tokens",
        RETIMING,
        _claims("what-it-does-to-every-coupling", EVENER),
        retiming_findings,
    ),
)
