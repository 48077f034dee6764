"""The compiled kernels equal the reference for any combination of options and shape."""

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmamba.kernels import cpp
from seqmamba.testing.scan_cases import (
    ScanCase,
    outcome,
    relative_error,
    scan_arguments,
    truth,
)

pytestmark = pytest.mark.skipif(cpp.why_not() is not None, reason=str(cpp.why_not()))

FORMS: st.SearchStrategy[Literal["token", "group", "constant"]] = st.sampled_from(
    ["token", "group", "constant"]
)
OPTIONAL = ("D", "z", "delta_bias", "initial_state")


@st.composite
def cases(draw: st.DrawFn) -> ScanCase:
    softplus = draw(st.booleans())
    names = OPTIONAL if softplus else ("D", "z", "initial_state")  # a raw step stays positive
    return ScanCase(
        B=draw(FORMS),
        C=draw(FORMS),
        optional=tuple(draw(st.lists(st.sampled_from(names), unique=True))),
        softplus=softplus,
        reverse=draw(st.booleans()),
        window=draw(st.sampled_from([1, 1, 2, 8, 64])),
        padding=draw(st.sampled_from([None, "lengths", "mask", "packed"])),
    )


SHAPES = st.tuples(
    st.integers(1, 4),
    st.one_of(st.integers(1, 12), st.integers(30, 70)),  # around a chunk of 32 tokens
    st.integers(1, 75).map(lambda half: 2 * half),  # two groups; around tiles of 64 channels
    st.integers(1, 20),
)


@settings(max_examples=60, deadline=None)
@given(case=cases(), shape=SHAPES, seed=st.integers(0, 99))
def test_any_options_equal_the_reference(
    case: ScanCase, shape: tuple[int, int, int, int], seed: int
) -> None:
    arguments = scan_arguments(case, shape, dtype=torch.float32, seed=seed)

    found, expected = outcome(arguments, "cpp"), truth(case, shape, torch.float32, seed)

    assert relative_error(found.out, expected.out) <= 1e-5
    assert relative_error(found.last_state, expected.last_state) <= 1e-5
    for name, value in expected.gradients.items():
        assert relative_error(found.gradients[name], value, norm=2) <= 1e-4, name
