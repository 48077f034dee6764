"""Contracts of the encoder: architecture specification, section 7, (a) to (h)."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seqmamba.errors import BackendError, ConfigError, DataError
from seqmamba.kernels import backends
from seqmamba.nn import Encoder

DIRECTIONS: dict[str, dict[str, Any]] = {
    "causal": {},
    "bi_shared": {},
    "bi_sum": {},
    "vim_v1": {},
    "vim_v2": {},
    "mil_bi": {},
    "mil_sr": {"rate": 3},
    "partial_flip": {"keep_last": 2},
    "local_bi": {"window": 4},
    "alternate": {"flip_every": 1, "window": 4},
}
SETTINGS = [{"direction": direction, **options} for direction, options in DIRECTIONS.items()]
SETTINGS += [
    {"direction": "causal", "mixer": "mamba2"},
    {"direction": "bi_shared", "mixer": "mamba2"},
    {"direction": "bi_sum", "mixer": "mamba2"},
    {"direction": "partial_flip", "mixer": "mamba2", "keep_last": 2},
    {"direction": "alternate", "mixer": "mamba2", "flip_every": 1},
]
FEW = {"causal-mamba", "bi_sum-mamba2", "vim_v2-mamba", "mil_sr-mamba"}


def _name(settings: dict[str, Any]) -> str:
    return f"{settings['direction']}-{settings.get('mixer', 'mamba')}"


every_setting = pytest.mark.parametrize("settings", SETTINGS, ids=_name)
few_settings = pytest.mark.parametrize(
    "settings",
    [  # one of each kind; the others are slow
        pytest.param(s, id=_name(s), marks=() if _name(s) in FEW else pytest.mark.slow)
        for s in SETTINGS
    ],
)
every_mixer = pytest.mark.parametrize("mixer", ["mamba", "mamba2"])


def small(**settings: Any) -> Encoder:
    """Two layers of width 8 in float64, in evaluation."""
    return Encoder(8, 2, d_state=4, **settings).double().eval()


def rows(*lengths: int) -> list[Tensor]:
    return [torch.randn(1, length, 8, dtype=torch.float64) for length in lengths]


@every_setting
@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (2, 1), (3, 9)])
def test_shape_stays(settings: dict[str, Any], shape: tuple[int, int]) -> None:
    x = torch.randn(*shape, 8, dtype=torch.float64)

    assert small(**settings)(x).shape == x.shape


@every_setting
def test_padding_changes_nothing(settings: dict[str, Any]) -> None:
    encoder = small(**settings)
    first, second, third = rows(9, 5, 1)
    mask = torch.zeros(3, 11, dtype=torch.bool)
    mask[0, :9] = mask[1, 6:] = mask[2, 4] = True  # right, left, both sides
    x = torch.full((3, 11, 8), torch.nan, dtype=torch.float64)
    x[mask] = torch.cat([first, second, third], 1)[0]

    together = encoder(x, mask=mask)

    alone = torch.cat([encoder(row) for row in (first, second, third)], 1)[0]
    assert_close(together[mask], alone, rtol=1e-9, atol=1e-10)
    assert (together[~mask] == 0).all()


@every_setting
def test_lengths_are_a_mask(settings: dict[str, Any]) -> None:
    encoder = small(**settings)
    x = torch.randn(3, 7, 8, dtype=torch.float64)
    lengths = torch.tensor([7, 5, 0])
    mask = torch.arange(7) < lengths[:, None]

    assert_close(encoder(x, lengths=lengths), encoder(x, mask=mask), rtol=1e-9, atol=1e-10)


@every_setting
def test_holes_influence_nothing(settings: dict[str, Any]) -> None:
    encoder = small(**settings)
    mask = torch.tensor([[True, False, True, True, False, False, True]])
    x = torch.randn(1, 7, 8, dtype=torch.float64)
    other = torch.where(mask.unsqueeze(-1), x, torch.inf)

    assert torch.equal(encoder(x, mask=mask), encoder(other, mask=mask))


@every_setting
def test_padding_has_no_gradient_and_spoils_none(settings: dict[str, Any]) -> None:
    encoder = small(**settings)
    x = torch.full((2, 6, 8), torch.nan, dtype=torch.float64)
    x[0], x[1, :4] = torch.randn(6, 8), torch.randn(4, 8)
    x.requires_grad_()

    encoder(x, lengths=torch.tensor([6, 4])).square().sum().backward()

    assert x.grad is not None
    assert (x.grad[1, 4:] == 0).all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())
    assert (x.grad[1, :4] != 0).all()


def test_mask_and_lengths_hold_together() -> None:
    encoder = small(direction="bi_sum")
    x = torch.randn(1, 7, 8, dtype=torch.float64)
    mask = torch.tensor([[False, True, True, True, True, True, True]])

    got = encoder(x, mask=mask, lengths=torch.tensor([5]))

    assert_close(got[:, 1:5], encoder(x[:, 1:5]), rtol=1e-9, atol=1e-10)
    assert (got[:, 5:] == 0).all()


@every_mixer
def test_steps_equal_forward(mixer: str) -> None:
    encoder = small(mixer=mixer, d_ff=12)
    x = torch.randn(2, 9, 8, dtype=torch.float64)
    state, outputs = encoder.init_state(2), []

    for t in range(9):
        y, state = encoder.step(x[:, t], state)
        outputs.append(y)

    assert_close(torch.stack(outputs, 1), encoder(x), rtol=1e-9, atol=1e-10)


@every_mixer
def test_steps_in_bfloat16_equal_forward(mixer: str) -> None:
    encoder = Encoder(8, 2, d_state=4, mixer=mixer).bfloat16()  # type: ignore[arg-type]
    x = torch.randn(2, 3, 8, dtype=torch.bfloat16)
    state = encoder.init_state(2)

    y = torch.stack([encoder.step(x[:, t], state)[0] for t in range(3)], 1)

    assert y.dtype == torch.bfloat16
    assert state[0].ssm.dtype == torch.float32
    assert_close(y.float(), encoder(x).float(), rtol=5e-2, atol=5e-2)  # bfloat16 products


@every_mixer
def test_pieces_equal_the_whole(mixer: str) -> None:
    encoder = small(mixer=mixer)
    x = torch.randn(2, 9, 8, dtype=torch.float64)

    first, state = encoder(x[:, :4], state=encoder.init_state(2))
    second, _ = encoder(x[:, 4:], state=state)

    assert_close(torch.cat([first, second], 1), encoder(x), rtol=1e-9, atol=1e-10)


@every_mixer
def test_left_padding_leaves_the_state_of_the_real_tokens(mixer: str) -> None:
    encoder = small(mixer=mixer)
    x, after = torch.randn(1, 6, 8).double(), torch.randn(1, 3, 8).double()
    mask = torch.tensor([[False, False, True, True, True, True]])

    _, state = encoder(x, mask=mask, state=encoder.init_state(1))
    got, _ = encoder(after, state=state)

    whole = encoder(torch.cat([x[:, 2:], after], 1))
    assert_close(got, whole[:, 4:], rtol=1e-9, atol=1e-10)


@every_mixer
def test_causal_reads_nothing_ahead(mixer: str) -> None:
    encoder = small(mixer=mixer)
    x = torch.randn(1, 6, 8, dtype=torch.float64, requires_grad=True)
    y = encoder(x)[0] @ torch.randn(8, dtype=torch.float64)  # (L,)

    gradients = [torch.autograd.grad(y[t], x, retain_graph=True)[0][0] for t in range(6)]

    reach = torch.stack(gradients).abs().amax(2)  # (to, from)
    assert (reach.triu(1) == 0).all()
    assert (reach.tril() > 0).sum() == 21


@pytest.mark.parametrize(
    "settings",
    [s for s in SETTINGS if s["direction"] not in ("causal", "mil_sr")],
    ids=_name,
)
def test_every_bidirectional_layer_reads_ahead(settings: dict[str, Any]) -> None:
    encoder = small(**settings)
    x = torch.randn(1, 4, 8, dtype=torch.float64, requires_grad=True)

    encoder(x)[0, 0].sum().backward()

    assert x.grad is not None
    assert x.grad[0, 1].abs().sum() > 0


@every_mixer
def test_shared_directions_commute_with_the_flip(mixer: str) -> None:
    encoder = small(direction="bi_shared", mixer=mixer)
    x = torch.randn(2, 9, 8, dtype=torch.float64)

    assert_close(encoder(x.flip(1)), encoder(x).flip(1), rtol=1e-9, atol=1e-10)


@every_setting
@pytest.mark.parametrize("backend", ["cpp", "torch"])
def test_back_ends_agree_with_the_reference(settings: dict[str, Any], backend: str) -> None:
    if reason := backends()[backend]:
        pytest.skip(reason)
    torch.manual_seed(0)
    expected = Encoder(8, 2, d_state=4, backend="reference", **settings)
    encoder = Encoder(8, 2, d_state=4, backend=backend, **settings)
    encoder.load_state_dict(expected.state_dict())
    x, mask = torch.randn(2, 9, 8), torch.tensor([[True] * 9, [False] * 4 + [True] * 5])

    try:
        got = _output_and_gradients(encoder, x, mask)
    except BackendError as error:
        pytest.skip(str(error))

    for a, b in zip(got, _output_and_gradients(expected, x, mask), strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-4)  # gradients sum over 14 tokens


@every_setting
def test_two_runs_have_the_same_bits(settings: dict[str, Any]) -> None:
    encoder = Encoder(8, 2, d_state=4, **settings)
    x = torch.randn(3, 9, 8)

    first, second = (_output_and_gradients(encoder, x) for _ in range(2))

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@every_setting
def test_copies_and_pickles_answer_alike(settings: dict[str, Any]) -> None:
    encoder = small(**settings)
    x = torch.randn(2, 5, 8, dtype=torch.float64)

    assert torch.equal(copy.deepcopy(encoder)(x), encoder(x))
    assert torch.equal(pickle.loads(pickle.dumps(encoder))(x), encoder(x))


@every_setting
def test_autocast_keeps_the_residual_wide(settings: dict[str, Any]) -> None:
    encoder = Encoder(8, 2, d_state=4, **settings)
    x = torch.randn(2, 9, 8)

    with torch.autocast("cpu", torch.bfloat16):
        y = encoder(x)

    assert y.dtype == torch.float32
    assert_close(y, encoder(x), rtol=5e-2, atol=5e-2)  # two layers of bfloat16 products
    y.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


@every_setting
def test_bfloat16_module_answers_in_bfloat16(settings: dict[str, Any]) -> None:
    encoder = Encoder(8, 2, d_state=4, d_ff=16, **settings)
    x = torch.randn(2, 9, 8)
    expected = encoder(x)

    y = encoder.bfloat16()(x.bfloat16())

    assert y.dtype == torch.bfloat16
    assert_close(y.float(), expected, rtol=5e-2, atol=1e-1)


@few_settings
def test_export_gives_the_same_answer(settings: dict[str, Any]) -> None:
    encoder = Encoder(8, 1, d_state=4, **settings).eval()
    x, mask = torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])

    program = torch.export.export(encoder, (x,), {"mask": mask})

    assert_close(program.module()(x, mask=mask), encoder(x, mask=mask), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@every_setting
def test_one_graph_holds_forward_and_backward(settings: dict[str, Any]) -> None:
    torch.compiler.reset()
    encoder = Encoder(8, 1, d_state=4, **settings)
    compiled = torch.compile(encoder, fullgraph=True, dynamic=True, backend="aot_eager")

    for length in (5, 9):
        x, mask = torch.randn(2, length, 8), torch.arange(length) < torch.tensor([[length], [3]])
        got, want = (_output_and_gradients(net, x, mask) for net in (compiled, encoder))
        for a, b in zip(got, want, strict=True):
            assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning")  # raised inside inductor
@every_mixer
def test_compiled_code_gives_the_same_answer(mixer: str) -> None:
    torch.compiler.reset()
    encoder = Encoder(8, 1, d_state=4, mixer=mixer)  # type: ignore[arg-type]  # parametrised
    x = torch.randn(2, 5, 8)

    got, want = (
        _output_and_gradients(net, x) for net in (torch.compile(encoder, fullgraph=True), encoder)
    )

    for a, b in zip(got, want, strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-5)


@few_settings
def test_networks_of_several_weights_run_as_one(settings: dict[str, Any]) -> None:
    encoders = [small(**settings) for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(encoders)
    x = torch.randn(2, 5, 8, dtype=torch.float64)

    def call(weights: dict[str, Tensor], rest: dict[str, Tensor]) -> Tensor:
        y: Tensor = torch.func.functional_call(encoders[0], (weights, rest), (x,))
        return y

    got = torch.func.vmap(call)(parameters, buffers)

    expected = torch.stack([encoder(x) for encoder in encoders])
    assert_close(got, expected, rtol=1e-9, atol=1e-10)


def test_subtractive_stack_equals_its_recursion() -> None:
    encoder = small(
        mixer="mamba2", norm="none", mixer_residual=False, stacking="subtractive", final_norm=False
    )
    assert encoder.subtract is not None
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    one, two = (layer.mixer for layer in encoder.blocks)

    first = one(x)
    expected = first + two(x - encoder.subtract(first))

    assert_close(encoder(x), expected, rtol=1e-12, atol=1e-12)
    y, _ = encoder.step(x[:, 0], encoder.init_state(2))
    assert_close(y, expected[:, 0], rtol=1e-9, atol=1e-10)


def test_drop_path_rises_from_zero() -> None:
    encoder = Encoder(8, 3, drop_path=0.2)

    rates = [getattr(block.drop_path, "p", 0.0) for block in encoder.blocks]

    assert rates == pytest.approx([0, 0.1, 0.2])


def test_depth_shrinks_the_start_of_the_last_projections() -> None:
    deep, plain = Encoder(64, 4, d_ff=64), Encoder(64, 4, d_ff=64, depth_init=False)

    bound = (1 / 128) ** 0.5  # torch's uniform start for 128 inputs
    shrunk = deep.get_parameter("layers.0.mixer.out_proj.weight").detach().abs().max()
    assert 0.9 < float(shrunk) / bound * 8**0.5 <= 1  # 4 layers of two parts
    assert plain.get_parameter("layers.0.mixer.out_proj.weight").abs().max() > 0.9 * bound
    assert (deep.get_parameter("layers.0.mlp.fc1.bias") == 0).all()
    assert (deep.get_parameter("layers.0.mixer.dt_proj.bias") != 0).all()


@pytest.mark.parametrize("direction", [d for d in DIRECTIONS if d != "causal"])
def test_only_causal_streams(direction: str) -> None:
    encoder = Encoder(8, 1, direction=direction, **DIRECTIONS[direction])  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=f"{direction!r} reads the whole sequence"):
        encoder.init_state(2)
    with pytest.raises(ConfigError, match="direction='causal'"):
        encoder(torch.zeros(2, 3, 8), state=[])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"direction": "casual"}, "Did you mean 'causal'"),
        ({"mixer": "mamba3"}, "mixer must be one of 'mamba', 'mamba2'; got 'mamba3'"),
        ({"norm": "batch"}, "norm must be one of"),
        ({"activation": "swish"}, "activation must be one of"),
        ({"d_state": 0}, "d_state must be at least 1, got 0"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Encoder(8, 2, **settings)


@pytest.mark.parametrize(
    ("x", "rows", "message"),
    [
        (torch.zeros(2, 3, 7), {}, r"reads \(B, L, 8\), got \(2, 3, 7\)"),
        (torch.zeros(3, 8), {}, r"reads \(B, L, 8\)"),
        (torch.zeros(2, 3, 8), {"mask": torch.ones(2, 4)}, r"mask must be \(2, 3\)"),
        (torch.zeros(2, 3, 8), {"lengths": torch.ones(3)}, r"lengths must be \(2,\)"),
    ],
)
def test_wrong_shapes_are_named(x: Tensor, rows: dict[str, Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Encoder(8, 1)(x, **rows)


def _output_and_gradients(encoder: Any, x: Tensor, mask: Tensor | None = None) -> list[Tensor]:
    y = encoder(x, mask=mask)
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    return [y.detach(), *torch.autograd.grad(y.square().sum(), parameters)]
