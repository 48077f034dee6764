"""Two processes with half the batch each train like one with the whole batch."""

import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import start_processes

from seqmamba.datasets.samples import Batch
from seqmamba.train.distributed import World
from seqmamba.train.loop import run
from seqmamba.train.settings import Settings

SETTINGS = Settings(learning_rate=0.02, batch_size=15, max_epochs=3, device="cpu")


def _loss(net: nn.Module, batch: Batch) -> torch.Tensor:
    assert batch.y is not None
    return nn.functional.mse_loss(net(batch), batch.y)


def _worker(rank: int, port: int, net: nn.Module, samples: Any, path: str) -> None:
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    train, valid = samples.split(16)
    history = run(net, _loss, train, valid, settings=SETTINGS, seed=1)
    torch.save({"net": net.state_dict(), "best": history.best}, f"{path}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path, samples: Any, make_net: Any) -> None:
    alone = make_net(dropout=0.0)
    train, valid = samples.split(16)
    expected = run(alone, _loss, train, valid, settings=SETTINGS, seed=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    args = (port, make_net(dropout=0.0), samples, str(tmp_path))
    start_processes(_worker, args, 2, start_method="fork")  # type: ignore[no-untyped-call]  # torch's

    for rank in (0, 1):
        got = torch.load(tmp_path / f"{rank}.pt")
        assert got["best"] == pytest.approx(expected.best, rel=1e-5)
        for name, weight in alone.state_dict().items():
            torch.testing.assert_close(got["net"][name], weight, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 16])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_cover_the_batch_and_weights_give_the_global_mean(n: int, size: int) -> None:
    values = np.arange(n, dtype=np.int64) ** 2
    parts = [World(rank, size).share(values) for rank in range(size)]

    mean_over_processes = np.mean([weight * part.mean() for part, weight in parts])

    assert mean_over_processes == pytest.approx(values.mean())
