"""The network gives the released module's numbers, and padding changes nothing."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from seqmamba.datasets.samples import Batch
from seqmamba.errors import ModelFileError
from seqmamba.tasks.recommend.net.model import SIGMANet
from seqmamba.tasks.recommend.net.released import from_released, to_released
from seqmamba.tasks.recommend.net.settings import NetSettings

Mixer = Literal["sigma", "mamba", "gru"]
TINY = NetSettings(d_model=8, d_state=4, dropout=0.0, keep_last=2)
HISTORIES = [[3, 1, 4, 1, 5, 9, 2, 6], [7, 8, 10], [11, 2]]
# Recommendation specification, section 12: the released module's formulas in float64.
GOLDEN = {
    "ours": (
        TINY,
        [-0.61873544, -1.4484172, -1.00531463, 0.01315025],
        [-0.55741629, -1.48665838, -1.03315948, 0.05059591],
        [-0.52388546, -1.48327542, -1.04780526, 0.05072116],
        2.66192592,
    ),
    "ours, causal": (
        replace(TINY, conv="causal"),
        [-0.56125038, -1.45472021, -1.03154537, 0.02311719],
        [-0.4889158, -1.49115023, -1.06250115, 0.0607928],
        [-0.50510467, -1.48841705, -1.05574878, 0.05687999],
        2.65667968,
    ),
    "ours, two layers": (
        replace(TINY, n_layers=2),
        [-1.26463294, -0.94848844, -0.51404674, 0.62979823],
        [-0.74677975, -0.32964815, 0.00802267, 1.2972163],
        [-1.06951606, -1.13991874, -0.76665518, 0.10878086],
        2.27923341,
    ),
    "ours, two layers, causal": (
        replace(TINY, n_layers=2, conv="causal"),
        [-1.24813145, -0.95271016, -0.51833536, 0.64222435],
        [-0.72206748, -0.33496644, 0.0008506, 1.29669657],
        [-1.07373585, -1.1404593, -0.76351308, 0.10851559],
        2.27796259,
    ),
    "released": (
        replace(TINY, flip="released", padding="released"),
        [-0.61873544, -1.4484172, -1.00531463, 0.01315025],
        [-0.53654447, -1.48779624, -1.04229335, 0.05341603],
        [-0.51074357, -1.48048995, -1.05344089, 0.04958146],
        2.66027283,
    ),
    "released padding": (
        replace(TINY, padding="released"),
        [-0.61873544, -1.4484172, -1.00531463, 0.01315025],
        [-0.54765412, -1.48670355, -1.03745785, 0.05148968],
        [-0.51209734, -1.48299921, -1.05284396, 0.05159136],
        2.66143555,
    ),
}
SCORES = [1.47562649, 0.99660126, -1.76563752, -0.48280062, 1.90613254, -0.07188407]
SCORES += [-1.88521427, 0.62048155, 1.70465409, -1.11653601, -1.37974204]


def golden_net(settings: NetSettings) -> SIGMANet:
    """Fill the parameters by the rule of section 12."""
    net = SIGMANet(11, settings).double().eval()
    filled = {}
    for i, (name, value) in enumerate(to_released(net.state_dict()).items()):
        entries = 0.3 * torch.sin(1.0 + i + torch.arange(value.numel(), dtype=torch.float64))
        if name.endswith("LayerNorm.weight"):
            entries += 1
        if name.endswith("A_log"):
            entries += 0.5
        filled[name] = entries.reshape(value.shape)
    filled["item_embedding.weight"][0] = 0
    net.load_state_dict(from_released(filled))
    return net


def batch_of(histories: list[list[int]], width: int) -> Batch:
    x = torch.tensor([history + [0] * (width - len(history)) for history in histories])
    return Batch(x, extra={"lengths": torch.tensor([len(history) for history in histories])})


def vectors(net: SIGMANet, batch: Batch) -> Tensor:
    lengths = batch.extra["lengths"]
    return net.hidden(batch.x, lengths, (lengths - 1)[:, None])[:, 0]


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("kind", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_golden_numbers_are_reproduced(name: str, kind: torch.dtype) -> None:
    settings, *rows, loss = GOLDEN[name]
    net, batch = golden_net(settings).to(kind), batch_of(HISTORIES, 8)

    h, scores = vectors(net, batch), net(batch)
    with_padding_row = torch.cat([torch.zeros(3, 1, dtype=kind), scores], 1)
    entropy = functional.cross_entropy(with_padding_row, torch.tensor([5, 3, 1]))

    tolerance = 1e-7 if kind == torch.float64 else 1e-5
    assert_close(h[:, :4], torch.tensor(rows, dtype=kind), rtol=0, atol=tolerance)
    assert_close(entropy.item(), loss, rtol=0, atol=tolerance)


def test_golden_scores_are_reproduced() -> None:
    scores = golden_net(TINY)(batch_of(HISTORIES, 8))[0]

    assert_close(scores, torch.tensor(SCORES, dtype=torch.float64), rtol=0, atol=1e-7)


def test_the_published_size_is_reproduced() -> None:
    net = SIGMANet(12_101, NetSettings())

    n_parameters = sum(p.numel() for p in net.parameters())

    assert n_parameters == 904_515  # Beauty; specification, 3.7
    assert n_parameters - 64 * 12_102 == 129_987


@pytest.mark.parametrize("mixer", ["sigma", "mamba", "gru"])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_padding_and_company_change_nothing(mixer: Mixer, n_layers: int) -> None:
    net = SIGMANet(11, replace(TINY, mixer=mixer, n_layers=n_layers)).double().eval()

    together = vectors(net, batch_of(HISTORIES, 13))

    for row, history in enumerate(HISTORIES):
        alone = vectors(net, batch_of([history], len(history)))
        assert_close(together[row], alone[0], rtol=0, atol=1e-10)


def test_permuting_the_batch_permutes_the_answer() -> None:
    net = golden_net(TINY)

    mixed = net(batch_of([HISTORIES[i] for i in (2, 0, 1)], 8))

    assert_close(mixed, net(batch_of(HISTORIES, 8))[[2, 0, 1]])


def test_tail_positions_do_not_see_what_comes_later() -> None:
    net = golden_net(replace(TINY, conv="causal", keep_last=3))
    items, lengths = torch.tensor([HISTORIES[0]]), torch.tensor([8])
    at = torch.arange(8)[None]  # the flipped block has 5 items: positions 4.. see only their past

    changed = items.clone()
    changed[0, 6:] = torch.tensor([10, 11])

    before, after = net.hidden(items, lengths, at), net.hidden(changed, lengths, at)
    assert torch.equal(before[:, 4:6], after[:, 4:6])
    assert not torch.equal(before[:, 6], after[:, 6])


def test_a_tail_step_has_the_gradient_of_its_targets_one_by_one() -> None:
    row, answers, flipped = torch.tensor(HISTORIES[0]), torch.tensor([5, 3, 1, 2]), 5
    settings = replace(TINY, conv="causal", keep_last=3)
    net = golden_net(settings)
    at = torch.arange(flipped - 1, len(row))

    def gradient(net: SIGMANet, items: Tensor, at: Tensor, wanted: Tensor) -> list[Tensor]:
        h = net.hidden(items[None], torch.tensor([len(items)]), at[None])[0]
        loss = functional.cross_entropy(h @ net.item_vectors().T, wanted - 1, reduction="sum")
        return list(torch.autograd.grad(loss, list(net.parameters())))

    together = gradient(net, row, at, answers)
    alone = [
        gradient(
            golden_net(replace(settings, keep_last=p + 1 - flipped)),  # the same block is flipped
            row[: p + 1],
            torch.tensor([p]),
            answers[[place]],
        )
        for place, p in enumerate(at.tolist())
    ]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert_close(whole, torch.stack(parts).sum(0))


def test_only_the_read_positions_are_finished_and_equal_the_whole() -> None:
    net = golden_net(replace(TINY, n_layers=2))
    batch = batch_of(HISTORIES, 8)
    everywhere = torch.arange(8).expand(3, -1)
    at = torch.tensor([[1, 7], [0, 2], [1, 0]])

    whole = net.hidden(batch.x, batch.extra["lengths"], everywhere)
    part = net.hidden(batch.x, batch.extra["lengths"], at)

    assert_close(part, whole.gather(1, at[..., None].expand(-1, -1, 8)))


def test_the_padding_row_stays_zero_and_gets_no_gradient() -> None:
    net = SIGMANet(11, TINY)

    net(batch_of(HISTORIES, 8)).square().sum().backward()

    gradient = net.item_embedding.weight.grad
    assert gradient is not None
    assert not gradient[0].any()
    assert not net.item_embedding.weight[0].any()


def test_steps_equal_the_whole() -> None:
    net = SIGMANet(11, replace(TINY, mixer="mamba", n_layers=2)).double().eval()
    state = net.init_state(1)

    with torch.no_grad():
        for item in HISTORIES[0]:
            h = net.step(torch.tensor([item]), state)

    assert_close(h, vectors(net, batch_of(HISTORIES[:1], 8)), rtol=0, atol=1e-10)


def test_mamba_keeps_its_own_start_unless_released() -> None:
    own = SIGMANet(11, NetSettings()).state_dict()["layers.0.mixer.mamba.dt_proj.bias"]
    released = SIGMANet(11, NetSettings(init="released")).state_dict()

    steps = functional.softplus(own)
    assert 1e-4 < float(steps.min()) <= float(steps.max()) < 0.11
    assert not released["layers.0.mixer.mamba.dt_proj.bias"].any()
    assert math.isclose(
        float(released["layers.0.mixer.mamba.in_proj.weight"].std()), 0.02, rel_tol=0.1
    )


def test_released_names_go_both_ways() -> None:
    state = golden_net(replace(TINY, n_layers=2)).state_dict()

    back = from_released(to_released(state))

    assert back.keys() == state.keys()
    assert "mamba_layers.1.gmamba.selective_gate_si.1.bias" in to_released(state)
    with pytest.raises(ModelFileError, match=r"LayerNorm\.weight"):
        from_released({k: v for k, v in to_released(state).items() if k != "LayerNorm.weight"})


class Scorer(torch.nn.Module):
    """Item numbers and lengths to scores: what a server needs."""

    def __init__(self, net: SIGMANet) -> None:
        super().__init__()
        self.net = net

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        h = self.net.hidden(items, lengths, (lengths - 1)[:, None])[:, 0]
        return h @ self.net.item_vectors().T


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The tensor attributes")  # torch.nn.GRU under export
def test_the_network_exports_with_any_batch() -> None:
    net = golden_net(replace(TINY, backend="torch")).float()
    batch, rows = batch_of(HISTORIES, 8), torch.export.Dim("rows", min=2, max=64)

    program = torch.export.export(
        Scorer(net),
        (batch.x, batch.extra["lengths"]),
        dynamic_shapes={"items": {0: rows}, "lengths": {0: rows}},
    )

    for histories in (HISTORIES, [*HISTORIES, [5, 4], [1]]):
        other = batch_of(histories, 8)
        exported = program.module()(other.x, other.extra["lengths"])
        assert_close(exported, net(other), rtol=1e-5, atol=1e-5)
