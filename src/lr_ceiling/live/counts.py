"""What a server counts of itself, as Prometheus reads it and people can."""

from collections import Counter
from collections.abc import Mapping

# Of the exposition format: prometheus.io/docs/instrumenting/exposition_formats.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counts:
    """Requests to the model since the server started, by the status of their answer, and swaps."""

    def __init__(self) -> None:
        self.swaps = 0
        self._answers: Counter[int] = Counter()

    def answered(self, status: int) -> None:
        """Count an answer."""
        self._answers[status] += 1

    def text(self, version: int, since: float) -> str:
        """All counts, with the live version and the Unix time since which it answers."""
        answers = {f'{{status="{status}"}}': n for status, n in sorted(self._answers.items())}
        began = {"": round(since, 3)}
        metrics = (
            ("requests_total", "counter", "answers by status; 4xx are refused", answers),
            ("model_version", "gauge", "the version that answers", {"": version}),
            ("model_since_timestamp_seconds", "gauge", "Unix time since which it does", began),
            ("swaps_total", "counter", "times a new champion took over", {"": self.swaps}),
        )
        return "".join(_metric(*metric) for metric in metrics)


def _metric(name: str, kind: str, meaning: str, samples: Mapping[str, float]) -> str:
    full = f"lr_ceiling_{name}"
    lines = [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}"]
    lines += [f"{full}{labels} {value}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"
