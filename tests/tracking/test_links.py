"""Links to the pages that show most."""

from pathlib import Path

from logged import client, log_search, log_train, logged_runs, make_run, trials
from lr_ceiling import tracking


def test_pages_are_those_of_what_is_logged(project: Path) -> None:
    with tracking.open_store() as store:
        assert store.pages() == []
    log_train(project, make_run(seed=1), make_run(seed=2, variant="batchnorm"))
    with tracking.open_store() as store:
        # No seed has both variants: no twins.
        titles = [page.title for page in store.pages()]
        assert titles == ["train: all runs", "relu lr=0.01: twins"]
    log_train(project, make_run(seed=2))
    log_search(*trials(2))
    with tracking.open_store() as store:
        pages = {page.title: page.path for page in store.pages()}
    assert list(pages)[2:] == [
        "relu lr=0.01: twins of seed 2",
        "search: all trials",
        "relu: boundary",
        "search batchnorm relu",
    ]
    twins = {
        run.info.run_id
        for run in logged_runs(client(project), "train")
        if run.data.params["seed"] == "2"
    }
    assert all(run in pages["relu lr=0.01: twins of seed 2"] for run in twins)
