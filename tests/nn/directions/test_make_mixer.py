"""Choice of the mixer: options, directions that a mixer lacks, alternation."""

import pytest

from seqmamba.errors import ConfigError
from seqmamba.nn import Mamba, Mamba2
from seqmamba.nn.directions import Direction, DirectionOptions, MixerSize, make_mixer


@pytest.mark.parametrize(
    ("direction", "option"),
    [("causal", "window"), ("vim_v1", "dt_init_b"), ("mil_bi", "rate"), ("bi_sum", "keep_last")],
)
def test_an_option_of_another_direction_is_refused(direction: Direction, option: str) -> None:
    with pytest.raises(ConfigError, match=f"{direction!r} has no option {option!r}"):
        make_mixer(
            8,
            0,
            mixer="mamba",
            direction=direction,
            size={},
            options={option: 4},  # type: ignore[misc]  # the name is the parameter
        )


@pytest.mark.parametrize("direction", ["vim_v1", "vim_v2", "mil_bi", "mil_sr", "local_bi"])
def test_mamba2_says_which_directions_it_has(direction: Direction) -> None:
    with pytest.raises(ConfigError, match="Use mixer='mamba'"):
        make_mixer(8, 0, mixer="mamba2", direction=direction, size={}, options={})


def test_mamba2_has_no_window() -> None:
    with pytest.raises(ConfigError, match="window > 1"):
        make_mixer(8, 0, mixer="mamba2", direction="alternate", size={}, options={"window": 4})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [False, False, True, True, False, False]),
        ({"flip_every": 1}, [False, True, False, True, False, True]),
    ],
)
def test_alternation_changes_direction(options: DirectionOptions, expected: list[bool]) -> None:
    layers = [
        make_mixer(8, i, mixer="mamba", direction="alternate", size={}, options=options)
        for i in range(6)
    ]

    assert [layer.reverse for layer in layers] == expected


def test_alternation_of_local_blocks() -> None:
    options: DirectionOptions = {"window": 4}

    layer = make_mixer(8, 2, mixer="mamba", direction="alternate", size={}, options=options)

    assert isinstance(layer, Mamba)
    assert (layer.reverse, layer.window) == (True, 4)


def test_sizes_reach_either_block() -> None:
    size: MixerSize = {"d_state": 3, "d_conv": 2, "expand": 1}
    one_size: MixerSize = {**size, "dt_rank": 5}
    two_size: MixerSize = {**size, "headdim": 4}

    one = make_mixer(8, 0, mixer="mamba", direction="causal", size=one_size, options={})
    two = make_mixer(8, 0, mixer="mamba2", direction="causal", size=two_size, options={})

    assert isinstance(one, Mamba)
    assert isinstance(two, Mamba2)
    assert one.get_parameter("dt_proj.weight").shape == (8, 5)
    assert (two.headdim, two.d_state, two.d_inner) == (4, 3, 8)
