"""A study of this sampler is Optuna's: its plots take it, and `plot_ceiling` adds the answer.

    python examples/optuna_plots.py

Writes ceiling.png, and slice.html with plotly or slice.png without. It needs lr-ceiling[plot].
"""

from importlib.util import find_spec

import optuna
from optuna_sampler import objective

from lr_ceiling import CeilingSampler, plot_ceiling

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(direction="maximize", sampler=CeilingSampler(seed=0))
study.optimize(objective, n_trials=15)

plot_ceiling(study).figure.savefig("ceiling.png")
if find_spec("plotly"):
    optuna.visualization.plot_slice(study).write_html("slice.html")
else:
    optuna.visualization.matplotlib.plot_slice(study).figure.savefig("slice.png")
