"""Position vectors."""

import math

import pytest
from torch.testing import assert_close

from seqmamba.nn.embeddings import sinusoidal_positions


def test_sine_on_even_cosine_on_odd_entries() -> None:
    vectors = sinusoidal_positions(50, 8)

    assert vectors.shape == (50, 8)
    assert float(vectors[7, 2]) == pytest.approx(math.sin(7 / 10000 ** (2 / 8)))
    assert float(vectors[49, 7]) == pytest.approx(math.cos(49 / 10000 ** (6 / 8)))


def test_odd_width_is_cut() -> None:
    assert_close(sinusoidal_positions(5, 7), sinusoidal_positions(5, 8)[:, :7], rtol=0, atol=1)
    assert sinusoidal_positions(5, 7).shape == (5, 7)
