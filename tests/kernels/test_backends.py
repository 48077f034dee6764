"""Every back-end keeps the contract."""

import pytest

from seqmamba.testing.backend_contract import BackendContract


class TestReference(BackendContract):
    backend = "reference"
    keeps_every_state = True


class TestTorch(BackendContract):
    backend = "torch"


class TestCpp(BackendContract):
    backend = "cpp"


@pytest.mark.gpu
class TestTorchOnGpu(BackendContract):
    backend = "torch"
    device = "cuda"
