"""Contract tests that an extension can subclass."""

from seqmamba.testing.adapter_contract import AdapterContract
from seqmamba.testing.backend_contract import BackendContract
from seqmamba.testing.estimator_contract import EstimatorContract

__all__ = ["AdapterContract", "BackendContract", "EstimatorContract"]
