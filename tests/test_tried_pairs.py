"""A pair travels from the cell that drew it to the address that opens the laboratory."""

import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "book/_ext"))

from laboratory import trial

from embedding_geometry.pages.tried_pairs import KEY, pair_metadata
from embedding_geometry.study.prompts import PromptPair


def test_a_pair_is_asked_for_in_the_address_where_the_model_is_the_same() -> None:
    source, target = "a café & 50% + 🐈 = ?", "#1; it's <b>'a' \"dog\"</b>"
    model = SimpleNamespace(provenance=SimpleNamespace(revision="0123456789ab"))
    carried = pair_metadata(model, PromptPair("p", source, target, 5.0), 7)[KEY]
    query = trial(carried, {"model": {"revision": "0123456789ab"}})
    assert parse_qs(urlsplit(f"laboratory.html{query}").query, strict_parsing=True) == {
        "source": [source],
        "target": [target],
        "seed": ["7"],
    }
    assert trial(carried, {"model": {"revision": "ba9876543210"}}) is None
    assert trial(carried, None) is None
