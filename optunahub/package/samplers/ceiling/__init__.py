"""CeilingSampler for OptunaHub; the code is in the package lr-ceiling."""

from lr_ceiling import CeilingSampler, ceiling_of, plot_ceiling

__all__ = ["CeilingSampler", "ceiling_of", "plot_ceiling"]
