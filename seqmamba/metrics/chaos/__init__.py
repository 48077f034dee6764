"""Metrics of chaotic forecasts: valid times, climate, dimensions, ensembles; all in NumPy."""

from seqmamba.metrics.chaos.climate import (
    dh_paper,
    dstsp_gmm,
    dstsp_gmm_paper,
    dstsp_hist,
    spectral_distance,
)
from seqmamba.metrics.chaos.dimension import (
    correlation_dimension,
    dfrac_paper,
    lyapunov_rosenstein,
)
from seqmamba.metrics.chaos.ensemble import coverage_by_lead, crps_by_lead
from seqmamba.metrics.chaos.registry import METRICS
from seqmamba.metrics.chaos.valid_time import (
    nrmse_by_lead,
    smape_by_lead,
    valid_prediction_time,
    valid_steps,
    valid_steps_smape,
)

__all__ = [
    "METRICS",
    "correlation_dimension",
    "coverage_by_lead",
    "crps_by_lead",
    "dfrac_paper",
    "dh_paper",
    "dstsp_gmm",
    "dstsp_gmm_paper",
    "dstsp_hist",
    "lyapunov_rosenstein",
    "nrmse_by_lead",
    "smape_by_lead",
    "spectral_distance",
    "valid_prediction_time",
    "valid_steps",
    "valid_steps_smape",
]
