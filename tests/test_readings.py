"""Every rule against its formula, written as plain loops in float64 on tiny random networks."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from tiny_model import write_tiny_family

from embedding_geometry.diffusion.clouds import Texts, encode
from embedding_geometry.diffusion.generation import (
    decode_latents,
    initial_latent,
    render,
    sample_latents,
)
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.readings import unet_rows
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.transport.rules import Mixture, shares
from embedding_geometry.transport.ways import RULES, find_way

CAT, BIRDS = "a small cat on the beach at night", "two birds over the sea"
STEPS, SCALE = 4, 3.0
SETTINGS = RenderSettings(STEPS, SCALE, scheduler="ddim")
TIMES = np.array([0.25, 0.6])
IN_UNET = ["measures", "outer", "scores", "late-switch", "alternate", "aid-outer", "aid-inner"]
FREE_OF_COUPLING = ["measures", "outer", "scores", "late-switch", "alternate", "latent-slerp"]


@pytest.fixture(scope="module")
def model(tiny_folder):
    return load_model(str(tiny_folder), device="cpu", dtype="float64")


@pytest.fixture(scope="module")
def texts(model):
    return encode(model, [CAT, BIRDS])


@pytest.fixture(scope="module")
def latent(model):
    return initial_latent(model, 3)


def reading(name, texts, times=TIMES):
    """What the frames of a way read at these times."""
    return texts.along(find_way(name)(texts.ends, times, np.random.default_rng(0)), times)


def gap(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


# --- the plain loops ----------------------------------------------------------------------------


def softmax_attention(query, key, value, weights):
    """One head: sum_i w_i e^(q k_i / sqrt d) v_i over the sum of the weights."""
    weights = weights * torch.exp(query @ key.T / query.shape[1] ** 0.5)
    return weights @ value / weights.sum(dim=1, keepdim=True)


def attend(layer, query, key, value, weights=1.0):
    """All heads of one row, of queries (q, d), keys and values (n, d)."""
    heads = [each.chunk(layer.heads, dim=1) for each in (query, key, value)]
    answers = [softmax_attention(q, k, v, weights) for q, k, v in zip(*heads, strict=True)]
    return torch.cat(answers, dim=1)


class PlainLoop:
    """An attention layer of diffusers that answers row by row as a test says."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, layer, hidden_states, encoder_hidden_states=None, attention_mask=None):
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = layer.to_q(hidden_states), layer.to_k(text), layer.to_v(text)
        is_text = encoder_hidden_states is not None
        rows = [self.answer(layer, row, query, key, value, is_text) for row in range(len(query))]
        return layer.to_out[0](torch.stack(rows))


def own(layer, row, query, key, value, is_text):
    return attend(layer, query[row], key[row], value[row])


def of_two_texts(combine):
    """The texts in two halves of the tokens; the image asks itself as ever."""

    def answer(layer, row, query, key, value, is_text):
        if not is_text:
            return own(layer, row, query, key, value, is_text)
        return combine(layer, query[row], key[row].chunk(2), value[row].chunk(2))

    return answer


def measures(t):
    def combine(layer, query, keys, values):
        n = len(keys[0])
        weights = torch.tensor([1 - t] * n + [t] * n, dtype=torch.float64)
        return attend(layer, query, torch.cat(keys), torch.cat(values), weights)

    return of_two_texts(combine)


def outer(t):
    def combine(layer, query, keys, values):
        first, second = (attend(layer, query, *each) for each in zip(keys, values, strict=True))
        return (1 - t) * first + t * second

    return of_two_texts(combine)


def aid(t, kind):
    """Rows source, frame, target, as published: coefficients 0, t and 1."""

    def answer(layer, row, query, key, value, is_text):
        c = [0, t, 1][row]

        def beside(k, v):
            return attend(layer, query[row], torch.cat([key[row], k]), torch.cat([value[row], v]))

        if kind == "inner":
            return beside((1 - c) * key[0] + c * key[2], (1 - c) * value[0] + c * value[2])
        return (1 - c) * beside(key[0], value[0]) + c * beside(key[2], value[2])

    return answer


@torch.no_grad()
def predict(model, x, time, clouds, answer=own):
    """The UNet's prediction for rows x (r, c, h, w) with each layer answering as said."""
    before = model.unet.attn_processors
    model.unet.set_attn_processor(PlainLoop(answer))
    try:
        return model.unet(x, time, clouds).sample
    finally:
        model.unet.set_attn_processor(before)


def denoise(model, latent, predicted, rows=1):
    """DDIM of diffusers by hand; `predicted` says the noise of latents at a time and a step."""
    scheduler = DDIMScheduler.from_config(model.scheduler.config)
    scheduler.set_timesteps(STEPS)
    x = latent.repeat(rows, 1, 1, 1)
    for step, time in enumerate(scheduler.timesteps):
        x = scheduler.step(predicted(x, time, step), time, x).prev_sample
    return x


def by_hand(model, latent, name, t):
    """The denoised latent of one frame of a way, one prediction after the other."""
    a, b, nothing = torch.from_numpy(encode(model, [CAT, BIRDS, ""]).clouds)[:, None]
    both = torch.cat([a, b], dim=1)
    late = [step >= STEPS * (1 - t) for step in range(STEPS)]
    turns = {0.25: [0, 0, 1, 0], 0.6: [1, 0, 1, 0]}

    def with_text(x, time, step):
        match name:
            case "measures":
                return predict(model, x, time, both, measures(t))
            case "outer":
                return predict(model, x, time, both, outer(t))
            case "scores":
                first, second = (predict(model, x, time, each) for each in (a, b))
                return (1 - t) * first + t * second
            case "late-switch":
                return predict(model, x, time, b if late[step] else a)
            case "alternate":
                return predict(model, x, time, b if turns[t][step] else a)
            case "aid-outer" | "aid-inner":
                clouds = torch.cat([a, (1 - t) * a + t * b, b])
                answer = aid(t, name[4:]) if step < STEPS / 2 else own
                return predict(model, x, time, clouds, answer)

    def guided(x, time, step):
        without = predict(model, x, time, nothing.expand(len(x), -1, -1))
        return without + SCALE * (with_text(x, time, step) - without)

    rows = 3 if name.startswith("aid") else 1
    return denoise(model, latent, guided, rows)[rows // 2]


@pytest.mark.parametrize("name", IN_UNET)
def test_each_rule_is_its_formula(model, texts, latent, name):
    found = sample_latents(model, reading(name, texts), latent, SETTINGS)
    for frame, t in zip(found, TIMES.tolist(), strict=True):
        assert gap(frame, by_hand(model, latent, name, t)) < 1e-12


def test_no_two_rules_are_the_same(model, texts, latent):
    names = [*IN_UNET, "row", "optimal", "latent-slerp"]
    found = [sample_latents(model, reading(name, texts), latent, SETTINGS) for name in names]
    for k, one in enumerate(found):
        assert all(gap(one, other) > 1e-3 for other in found[:k])


def test_latents_go_along_a_great_circle(model, texts, latent):
    a, b = (each.ravel() for each in sample_latents(model, texts, latent, SETTINGS).numpy())
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    found = sample_latents(model, reading("latent-slerp", texts), latent, SETTINGS).numpy()
    for frame, t in zip(found.reshape(2, -1), TIMES, strict=True):
        u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
        direction = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
        norm = (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
        np.testing.assert_allclose(frame, norm * direction, rtol=1e-10, atol=1e-12)


def test_a_cross_fade_averages_the_pictures_of_the_ends(model, texts, latent):
    a, b = decode_latents(model, sample_latents(model, texts, latent, SETTINGS))
    found = render(model, reading("cross-fade", texts), latent, SETTINGS)
    for frame, t in zip(found, TIMES, strict=True):
        expected = np.round(255 * ((1 - t) * a.astype(float) + t * b))
        assert np.abs(frame - expected).max() <= 1
        assert (frame != expected).mean() < 0.01


def test_the_inner_interpolation_of_cross_attention_is_the_row_order(model, texts, latent):
    """AID's keys (1 - t) K_A + t K_B are those of the cloud (1 - t) A + t B, and so the values."""
    a, b, nothing = torch.from_numpy(encode(model, [CAT, BIRDS, ""]).clouds)[:, None]
    t = 0.3

    def inner(layer, query, keys, values):
        key, value = ((1 - t) * one + t * other for one, other in (keys, values))
        return attend(layer, query, key, value)

    def guided(x, time, step):
        without = predict(model, x, time, nothing)
        with_ = predict(model, x, time, torch.cat([a, b], dim=1), of_two_texts(inner))
        return without + SCALE * (with_ - without)

    expected = denoise(model, latent, guided)
    found = sample_latents(model, reading("row", texts, np.array([t])), latent, SETTINGS)
    assert gap(found, expected) < 1e-12


# --- what all rules have in common --------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_the_ends_are_the_texts(model, texts, latent, name):
    rule = reading(name, texts, np.array([0.0, 0.5, 1.0]))
    frames = render(model, rule, latent, SETTINGS).astype(int)
    assert np.abs(frames[[0, 2]] - render(model, texts, latent, SETTINGS)).max() <= 1
    if name != "cross-fade":
        found = sample_latents(model, rule, latent, SETTINGS)[[0, 2]]
        assert gap(found, sample_latents(model, texts, latent, SETTINGS)) < 1e-12
    assert (frames[1] != frames[0]).any()


def permuted(texts, end):
    """The texts with the tokens of one of them in another order."""
    clouds = texts.clouds.copy()
    clouds[end] = np.random.default_rng(end).permutation(clouds[end])
    return Texts(clouds, texts.pooled, texts.end_rows)


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("name", FREE_OF_COUPLING)
def test_no_order_of_the_tokens_changes_these(model, texts, latent, name, end):
    found = [
        sample_latents(model, reading(name, each), latent, SETTINGS)
        for each in (texts, permuted(texts, end))
    ]
    assert gap(*found) < 1e-13


@pytest.mark.parametrize("name", ["row", "aid-outer", "aid-inner"])
def test_these_depend_on_the_order_of_the_tokens(model, texts, latent, name):
    found = [
        sample_latents(model, reading(name, each), latent, SETTINGS)
        for each in (texts, permuted(texts, 1))
    ]
    assert gap(*found) > 1e-3


@pytest.mark.parametrize("doubled", [(1, 2), (2, 1), (3, 2)])
@pytest.mark.parametrize("place", ["measure", "attention", "prediction", "late", "alternate"])
def test_repeating_all_tokens_of_a_text_changes_nothing(model, texts, latent, place, doubled):
    """Each text by itself, which a mixture that counts tokens does not survive."""
    parts = [texts[[0]], texts[[1]]]
    repeated = [
        Texts(np.repeat(part.clouds, times, axis=1))
        for part, times in zip(parts, doubled, strict=True)
    ]
    found = [
        sample_latents(model, Mixture(place, tuple(each), shares(TIMES)), latent, SETTINGS)
        for each in (parts, repeated)
    ]
    assert gap(*found) < 1e-13


def test_three_texts_are_mixed_as_two_are(model, texts, latent):
    """A text in two halves of the weight is the text."""
    a, b = texts[[0]], texts[[1]]
    thirds = np.array([[0.2, 0.5, 0.3]])
    halves = np.array([[0.5, 0.5]])
    for place in ("measure", "attention", "prediction"):
        three = Mixture(place, (a, b, a), thirds)
        two = Mixture(place, (a, b), halves)
        found = [sample_latents(model, each, latent, SETTINGS) for each in (three, two)]
        assert gap(*found) < 1e-13


@pytest.mark.parametrize("name", IN_UNET)
def test_frames_do_not_depend_on_the_batch(model, texts, latent, name):
    times = np.linspace(0, 1, 5)
    whole = sample_latents(model, reading(name, texts, times), latent, SETTINGS)
    settings = RenderSettings(STEPS, SCALE, scheduler="ddim", batch_size=2)
    found = sample_latents(model, reading(name, texts, times), latent, settings)
    assert gap(found, whole) < 1e-12
    assert min(gap(one, other) for one, other in zip(whole[1:], whole, strict=False)) > 1e-3


@pytest.mark.parametrize("scheduler", ["dpm", "euler"])
@pytest.mark.parametrize("name", ["aid-outer", "alternate"])
def test_any_sampler_and_no_guidance_will_do(model, texts, latent, name, scheduler):
    settings = RenderSettings(STEPS, 1.0, scheduler=scheduler)
    times = np.array([0.0, 0.5, 1.0])
    found = sample_latents(model, reading(name, texts, times), latent, settings)
    assert gap(found[[0, 2]], sample_latents(model, texts, latent, settings)) < 1e-6
    assert gap(found[1], found[0]) > 1e-3


# --- cost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "size"), [(1.0, 16), (3.0, 3)])
@pytest.mark.parametrize("name", [*RULES, "row"])
def test_rows_of_the_unet_are_as_many_as_counted(tiny_model, name, scale, size):
    rows = []
    hook = tiny_model.unet.register_forward_hook(
        lambda module, inputs, output: rows.append(len(inputs[0]))
    )
    texts = encode(tiny_model, [CAT, BIRDS])
    frames = reading(name, texts, np.linspace(0, 1, 6))
    settings = RenderSettings(1, scale, batch_size=size)
    try:
        render(tiny_model, frames, initial_latent(tiny_model, 0), settings)
    finally:
        hook.remove()
    assert sum(rows) == unet_rows(tiny_model, frames, settings)


@pytest.mark.parametrize("name", [*RULES, "row"])
def test_a_path_of_any_way_is_one_batch(tiny_model, name):
    """Its ends among the frames between them: a small batch costs nearly what a large one does."""
    counted = []
    hook = tiny_model.unet.register_forward_hook(lambda *given: counted.append(1))
    frames = reading(name, encode(tiny_model, [CAT, BIRDS]), np.linspace(0, 1, 6))
    try:
        render(tiny_model, frames, initial_latent(tiny_model, 0), RenderSettings(1, 3.0))
    finally:
        hook.remove()
    assert len(counted) == 1


@pytest.mark.parametrize("place", ["latent", "image", "measure"])
def test_texts_of_different_lengths_are_denoised_apart(model, texts, latent, place):
    """Doubling one of them changes no frame, the ends among them."""
    weights = shares(np.array([0.0, 0.5, 1.0]))
    parts = (texts[[0]], texts[[1]])
    longer = (parts[0], Texts(np.repeat(parts[1].clouds, 2, axis=1)))
    found, expected = (
        render(model, Mixture(place, each, weights), latent, SETTINGS).astype(int)
        for each in (longer, parts)
    )
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        *[(name, 2) for name in ("row", "measures", "outer", "late-switch", "alternate")],
        *[("scores", 3), ("aid-outer", 2 + 4 / 9), ("aid-inner", 2 + 4 / 9)],
        *[("latent-slerp", 4 / 9), ("cross-fade", 4 / 9)],
    ],
)
def test_what_an_inner_frame_of_eleven_costs(tiny_model, name, rows):
    """The ends beside it as published, or in its place, once for the nine."""
    inner = reading(name, encode(tiny_model, [CAT, BIRDS]), np.linspace(0, 1, 11)[1:-1])
    assert unet_rows(tiny_model, inner, RenderSettings(4, 3.0)) == pytest.approx(9 * rows)


# --- half precision and SDXL --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [*IN_UNET, "latent-slerp"])
def test_half_precision_is_as_exact_as_that_of_one_text(tiny_folder, model, texts, name, dtype):
    """Against the same rule in float64, each a multiple of what rounding does to row order."""
    small = load_model(str(tiny_folder), device="cpu", dtype=dtype)
    errors = {}
    for each in (name, "row"):
        frames = reading(each, texts)
        found = sample_latents(small, frames, initial_latent(small, 3), SETTINGS)
        expected = sample_latents(model, frames, initial_latent(model, 3), SETTINGS)
        errors[each] = float((found.double() - expected).norm() / expected.norm())
    assert errors[name] < 1.5 * errors["row"]


@pytest.fixture(scope="module")
def xl(tmp_path_factory):
    folder = write_tiny_family(tmp_path_factory.mktemp("xl"), "xl", [CAT, BIRDS])
    return load_model(str(folder), device="cpu", dtype="float64")


@pytest.mark.parametrize("place", ["measure", "attention", "prediction", "late", "alternate"])
def test_the_vectors_beside_the_clouds_are_mixed_as_the_texts_are(xl, place):
    """With clouds all alike only the vectors differ: read in turns, by weight, or each apart."""
    texts = encode(xl, [CAT, BIRDS])
    cloud, (p, q) = texts.clouds[[0]], texts.pooled
    settings, latent = RenderSettings(2, 1.0, scheduler="ddim"), initial_latent(xl, 0)
    parts = tuple(Texts(cloud, vector[None]) for vector in (p, q))
    found = sample_latents(xl, Mixture(place, parts, np.array([[0.5, 0.5]])), latent, settings)

    def predicted(x, time, step):
        vectors = {"late": [p, q], "alternate": [p, q]}.get(place, [(p + q) / 2] * 2)
        each = [p, q] if place == "prediction" else [vectors[step]]
        sizes = torch.tensor([[64, 64, 0, 0, 64, 64]]).double()
        with torch.no_grad():
            noise = [
                xl.unet(
                    x,
                    time,
                    torch.from_numpy(cloud),
                    added_cond_kwargs={
                        "text_embeds": torch.from_numpy(vector[None]),
                        "time_ids": sizes,
                    },
                ).sample
                for vector in each
            ]
        return sum(noise) / len(noise)

    scheduler = DDIMScheduler.from_config({**xl.scheduler.config, "clip_sample": False})
    scheduler.set_timesteps(2)
    x = latent
    for step, time in enumerate(scheduler.timesteps):
        x = scheduler.step(predicted(x, time, step), time, x).prev_sample
    assert gap(found, x) < 1e-12


@pytest.mark.parametrize("name", [*RULES, "row"])
def test_an_xl_takes_every_rule(xl, name):
    texts, latent = encode(xl, [CAT, BIRDS]), initial_latent(xl, 0)
    settings = RenderSettings(2, 3.0, scheduler="ddim")
    frames = render(xl, reading(name, texts, np.array([0.0, 0.5, 1.0])), latent, settings)
    ends = render(xl, texts, latent, settings)
    assert np.abs(frames[[0, 2]].astype(int) - ends).max() <= 1
    assert (frames[1] != frames[0]).any()


# --- what is refused ----------------------------------------------------------------------------


def test_a_rule_between_two_texts_is_not_taken_for_one(texts):
    with pytest.raises(ValueError, match="a way leads from one text to another; these are 1"):
        reading("measures", texts[:1])


def test_what_is_mixed_has_to_be_texts(model, texts, latent):
    rule = find_way("measures")(texts.ends, TIMES, np.random.default_rng(0))
    message = r"mixes texts, not a Leg: texts.along\(rule, times\) makes them of clouds"
    with pytest.raises(ValueError, match=message):
        render(model, rule, latent, SETTINGS)


def test_images_have_no_latents(model, texts, latent):
    with pytest.raises(ValueError, match="images are mixed when they are decoded: render makes"):
        sample_latents(model, reading("cross-fade", texts), latent, SETTINGS)


@pytest.mark.parametrize("name", RULES)
def test_texts_of_another_width_are_refused(model, latent, name):
    narrow = Texts(np.zeros((2, 77, 31)))
    with pytest.raises(ValueError, match=r"clouds have shape \(1, 77, 31\)"):
        render(model, reading(name, narrow), latent, SETTINGS)


def test_the_unet_is_left_as_it_was_also_after_an_error(tiny_model):
    texts, latent = encode(tiny_model, [CAT, BIRDS]), initial_latent(tiny_model, 0)
    before = dict(tiny_model.unet.attn_processors)

    def broken(*_):
        raise RuntimeError("broken")

    hook = tiny_model.unet.conv_out.register_forward_hook(broken)
    with pytest.raises(RuntimeError, match="broken"):
        sample_latents(tiny_model, reading("outer", texts), latent, SETTINGS)
    hook.remove()
    assert tiny_model.unet.attn_processors == before
