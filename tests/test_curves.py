"""Curves against closed forms: constant speed, Shoemake's formula, rows without a circle."""

import numpy as np
import pytest
from strategies import angles, random_clouds

from embedding_geometry.transport.curves import directions, great_circle, straight

TIMES = np.linspace(0, 1, 11)


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


@pytest.fixture
def ends(rng):
    return random_clouds(rng, 9, 5), random_clouds(rng, 9, 5) + 1


def test_a_straight_line_is_walked_at_constant_speed(ends):
    path = straight(*ends, np.array([0.0, 0.25, 1.0]))
    np.testing.assert_array_equal(path[[0, 2]], ends)
    np.testing.assert_allclose(path[1], 0.75 * ends[0] + 0.25 * ends[1], rtol=1e-14)


@pytest.mark.parametrize("curve", [straight, great_circle])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_clouds_of_less_precision_are_moved_in_float64(ends, curve, dtype):
    x, y = (cloud.astype(dtype) for cloud in ends)
    expected = curve(x.astype(float), y.astype(float), TIMES)
    np.testing.assert_array_equal(curve(x, y, TIMES), expected)


def test_a_quarter_circle_is_walked_at_constant_speed():
    x, y = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    thirds = np.array([1 / 3, 2 / 3])
    expected = [[[np.cos(a), np.sin(a)]] for a in thirds * np.pi / 2]
    np.testing.assert_allclose(great_circle(x, y, thirds), expected, rtol=1e-14)


def test_angle_and_norm_go_linearly_from_end_to_end(ends):
    x, y = ends
    path = great_circle(x, y, TIMES)
    whole = angles([y], x)
    np.testing.assert_allclose(angles(path[1:], x), TIMES[1:, None] * whole, rtol=1e-10)
    norms = np.linalg.norm(path, axis=2)
    expected = np.outer(1 - TIMES, np.linalg.norm(x, axis=1))
    expected += np.outer(TIMES, np.linalg.norm(y, axis=1))
    np.testing.assert_allclose(norms, expected, rtol=1e-14)


def test_unit_vectors_follow_shoemakes_formula(rng):
    u, v = directions(random_clouds(rng, 2, 7))
    theta = np.arccos(u @ v)
    weights = np.sin(np.outer(theta, [1 - TIMES, TIMES])).reshape(2, -1, 1) / np.sin(theta)
    expected = weights[0] * u + weights[1] * v
    np.testing.assert_allclose(great_circle(u[None], v[None], TIMES)[:, 0], expected, atol=1e-14)


def test_parallel_rows_keep_their_direction():
    x = np.array([[3.0, 4.0], [1e-9, 0.0]])
    path = great_circle(x, 3 * x, TIMES)
    np.testing.assert_allclose(path, (1 + 2 * TIMES)[:, None, None] * x, rtol=1e-14)


def test_opposite_rows_turn_through_the_axis_most_nearly_across():
    x = np.array([[0.8, 0.0, 0.6]])
    path = great_circle(x, -2 * x, np.array([0.5, 1.0]))
    np.testing.assert_allclose(path[:, 0], [[0, 1.5, 0], [-1.6, 0, -1.2]], atol=1e-14)


def test_rows_opposite_to_rounding_turn_like_opposite_rows(rng):
    x = directions(random_clouds(rng, 20, 6))
    nearly = -x * (1 + 1e-15) + 1e-16
    path = great_circle(x, nearly, TIMES)
    np.testing.assert_allclose(path, great_circle(x, -x, TIMES), atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(path, axis=2), 1, rtol=1e-12)


def test_one_dimension_has_no_circle_but_keeps_the_ends():
    x, y = np.array([[2.0], [2.0]]), np.array([[-1.0], [3.0]])
    path = great_circle(x, y, TIMES)
    assert np.isfinite(path).all()
    np.testing.assert_allclose(path[[0, -1]], [x, y], atol=1e-14)


def test_a_zero_row_takes_the_direction_of_the_other():
    x, y = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]), np.array([[3.0, 4.0], [0, 0], [0, 0]])
    path = great_circle(x, y, TIMES)
    times = TIMES[:, None, None]
    np.testing.assert_allclose(path, (1 - times) * x + times * y, atol=1e-14)
