"""What a server counts, as Prometheus reads it."""

from lr_ceiling.live.counts import Counts


def test_each_status_is_a_sample_and_each_metric_has_its_kind() -> None:
    counts = Counts()
    for status in (200, 400, 200, 413):
        counts.answered(status)
    counts.swaps = 2
    lines = counts.text(3, 1_700_000_000.1234).splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert samples == {
        'lr_ceiling_requests_total{status="200"}': "2",
        'lr_ceiling_requests_total{status="400"}': "1",
        'lr_ceiling_requests_total{status="413"}': "1",
        "lr_ceiling_model_version": "3",
        "lr_ceiling_model_since_timestamp_seconds": "1700000000.123",
        "lr_ceiling_swaps_total": "2",
    }
    kinds = [line.split()[2:] for line in lines if line.startswith("# TYPE")]
    assert ["lr_ceiling_requests_total", "counter"] in kinds
    assert len(kinds) == 4
    # Each metric is described before its samples.
    assert [line.split()[1] for line in lines[:2]] == ["HELP", "TYPE"]
