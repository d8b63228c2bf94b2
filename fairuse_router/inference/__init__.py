"""Paired comparisons of two models on one group: arrays in, numbers out.

Here live the statistics: tests, intervals, corrections, shrinkage, the rows still needed. No model,
no dataframe, no group attribute and no sentence may come in; rows and groups are numbers.

A *gain* is risk of the reference minus risk of the model: positive when the model is better.
Every test answers both questions at once, because not rejecting one proves nothing:

* gain test: H0 gain <= 0 against gain > 0, p-value ``p_gain``;
* violation test: H0 gain >= 0 against gain < 0, p-value ``p_violation``.
"""

from fairuse_router.inference.auc import (
    AucParts,
    auc_parts,
    delong,
    delong_from_moments,
    delong_gains,
    delong_moments,
)
from fairuse_router.inference.bbc import CorrectedGains, bbc
from fairuse_router.inference.bootstrap import (
    area_replicates,
    exact_bootstrap,
    mean_replicates,
    paired_bootstrap,
)
from fairuse_router.inference.calibration import Recalibration, calibration_curve, recalibrate
from fairuse_router.inference.calibration_slope import (
    SLOPES,
    STRENGTHS,
    SlopeEvidence,
    slope_evidence,
    slope_posterior,
)
from fairuse_router.inference.combine import combine_intervals
from fairuse_router.inference.empirical_bayes import evidence_shares, multilevel_bayes
from fairuse_router.inference.lattice import lattice_counts, lattice_test
from fairuse_router.inference.mcnemar import mcnemar, mcnemar_power, mcnemar_rows
from fairuse_router.inference.moved import fisher
from fairuse_router.inference.multiplicity import CORRECTIONS, adjust
from fairuse_router.inference.paired import paired_t, paired_t_from_sums, row_sums
from fairuse_router.inference.partial_pooling import MultilevelFit, multilevel_fit
from fairuse_router.inference.result import PairedTest, rows_needed, stack_tests, verdict
from fairuse_router.inference.samplesize import SampleSize, hoeffding_rows, sample_size, vc_rows
from fairuse_router.inference.several_classes import multilevel_classes
from fairuse_router.inference.shrinkage import TwoPrior, group_moments, two_prior
from fairuse_router.inference.swap import ece_swap

__all__ = [
    "CORRECTIONS",
    "SLOPES",
    "STRENGTHS",
    "AucParts",
    "CorrectedGains",
    "MultilevelFit",
    "PairedTest",
    "Recalibration",
    "SampleSize",
    "SlopeEvidence",
    "TwoPrior",
    "adjust",
    "area_replicates",
    "auc_parts",
    "bbc",
    "calibration_curve",
    "combine_intervals",
    "delong",
    "delong_from_moments",
    "delong_gains",
    "delong_moments",
    "ece_swap",
    "evidence_shares",
    "exact_bootstrap",
    "fisher",
    "group_moments",
    "hoeffding_rows",
    "lattice_counts",
    "lattice_test",
    "mcnemar",
    "mcnemar_power",
    "mcnemar_rows",
    "mean_replicates",
    "multilevel_bayes",
    "multilevel_classes",
    "multilevel_fit",
    "paired_bootstrap",
    "paired_t",
    "paired_t_from_sums",
    "recalibrate",
    "row_sums",
    "rows_needed",
    "sample_size",
    "slope_evidence",
    "slope_posterior",
    "stack_tests",
    "two_prior",
    "vc_rows",
    "verdict",
]
