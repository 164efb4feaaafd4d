"""Which tokens a coupling re-pairs: from a permutation to flows between kinds of tokens.

Row order pairs the token at place i of one prompt with the token at place i of the other. Any
other coupling re-pairs some of them. A prompt has four kinds of tokens: the begin token (BOS),
which the encoder sees before all others and which is therefore the same vector in every prompt;
the words; the end token (EOS); and the padding behind it. `pairings` lays a coupling out as a
tidy table, one row per token; what goes where, how far, and at what cost are its groups and sums.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from embedding_geometry.ground.types import ArrayLike, CloudLike, Coupling
from embedding_geometry.transport.checks import check_cloud_pair, check_coupling

KINDS = ("BOS", "word", "EOS", "padding")
_SPECIAL = {"<bos>": "BOS", "<eos>": "EOS", "<pad>": "padding"}


@dataclass(frozen=True)
class SameWords:
    """How many words meet themselves under a coupling.

    Attributes:
        met: words of the source that are paired with the same word of the target.
        possible: the most that any coupling can reach: for each word the lesser of the numbers of
            times that the two prompts have it, summed.
        expected: the mean of `met` over all permutations.
    """

    met: int
    possible: int
    expected: float


def token_kinds(labels: Sequence[str]) -> list[str]:
    """Kind of each token of a prompt: "BOS", "word", "EOS" or "padding".

    Args:
        labels: a label for each of the n tokens, as `tokens.token_labels` gives them.

    Raises:
        ValueError: The labels are not a begin token, words, an end token, then padding.
    """
    kinds = [_SPECIAL.get(label, "word") for label in labels]
    words = kinds.count("word")
    padding = len(kinds) - words - 2
    if kinds != ["BOS", *["word"] * words, "EOS", *["padding"] * padding]:
        raise ValueError(
            "the labels of a prompt are <bos>, its words, <eos>, then <pad> to the end; got "
            f"{list(labels)[:12]} ({len(labels)} labels): take them from token_labels"
        )
    return kinds


def pairings(
    x: CloudLike, y: CloudLike, sigma: ArrayLike, labels_x: Sequence[str], labels_y: Sequence[str]
) -> pd.DataFrame:
    r"""A coupling as a table, one row per token of x.

    The labels are those that `tokens.token_labels` gives to the n tokens of x and of y.

    Returns:
        `place` i and `target_place` sigma(i); `token` and `target_token`, their labels; `kind` and
        `target_kind`; `moved`, whether sigma(i) is another place than i; `cost`, the squared
        distance :math:`\lVert x_i - y_{\sigma(i)} \rVert^2`.

    Raises:
        ValueError: The clouds differ in shape or hold NaN or infinity, sigma is no permutation,
            or the labels are not those of n tokens.
    """
    x, y = check_cloud_pair(x, y)
    sigma = check_coupling(sigma, len(x))
    kinds_x, kinds_y = (np.array(token_kinds(labels)) for labels in (labels_x, labels_y))
    if not len(kinds_x) == len(kinds_y) == len(x):
        raise ValueError(
            f"clouds of {len(x)} tokens have as many labels each; got {len(kinds_x)} and "
            f"{len(kinds_y)}: label the prompts with the model that encoded them"
        )
    places = np.arange(len(x))
    return pd.DataFrame(
        {
            "place": places,
            "target_place": sigma,
            "token": np.array(labels_x),
            "target_token": np.array(labels_y)[sigma],
            "kind": kinds_x,
            "target_kind": kinds_y[sigma],
            "moved": sigma != places,
            "cost": np.sum((x - y[sigma]) ** 2, axis=1),
        }
    )


def flows(table: pd.DataFrame) -> pd.DataFrame:
    """How many tokens go from kind to kind in a table of `pairings`, and what that costs.

    Returns:
        One row for each of the 16 ways from a `kind` to a `target_kind`, also those that nobody
        takes: `tokens`; `moved`, how many of them change their place; and `cost_share`, their
        share of the coupling's squared cost, 0 where the clouds are the same.
    """
    ways = pd.MultiIndex.from_product([KINDS, KINDS], names=["kind", "target_kind"])
    groups = table.groupby(["kind", "target_kind"])
    found = groups.agg(tokens=("moved", "size"), moved=("moved", "sum"), cost=("cost", "sum"))
    found = found.reindex(ways, fill_value=0)
    total = found["cost"].sum()
    found["cost_share"] = found.pop("cost") / total if total else 0.0
    return found.reset_index()


def by_kind(table: pd.DataFrame) -> pd.DataFrame:
    """What happens to the tokens of each kind in a table of `pairings`.

    Returns:
        Index: the kinds that the prompt has, in the order of `KINDS`. `moved`: the share of its
        tokens that change their place; `left`: the share that goes to another kind; `distance`:
        the mean number of places moved; `cost_share`: its share of the squared cost, 0 where the
        clouds are the same.
    """
    rows = table.assign(
        left=table["kind"] != table["target_kind"],
        distance=(table["target_place"] - table["place"]).abs(),
    )
    groups = rows.groupby("kind")
    found = groups[["moved", "left", "distance"]].mean()
    total = rows["cost"].sum()
    found["cost_share"] = groups["cost"].sum() / total if total else 0.0
    return found.reindex([kind for kind in KINDS if kind in found.index])


def same_words(sigma: Coupling, labels_x: Sequence[str], labels_y: Sequence[str]) -> SameWords:
    """How often a coupling pairs a word with itself, and how often it could; see `pairings`.

    Raises:
        ValueError: sigma is no permutation of as many tokens as there are labels, or the labels
            are not those of a prompt.
    """
    sigma = check_coupling(sigma, len(labels_x))
    count_x, count_y = (_word_counts(labels) for labels in (labels_x, labels_y))
    met = sum(
        labels_x[i] == labels_y[j] and labels_x[i] in count_x for i, j in enumerate(sigma.tolist())
    )
    pairs = sum(count * count_y[word] for word, count in count_x.items())
    return SameWords(met, (count_x & count_y).total(), pairs / len(labels_x))


def _word_counts(labels: Sequence[str]) -> Counter[str]:
    kinds = token_kinds(labels)
    return Counter(label for label, kind in zip(labels, kinds, strict=True) if kind == "word")
