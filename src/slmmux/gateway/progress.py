"""What a stream says while the vote is under way."""

from collections import Counter

from slmmux.types import Sample


class Progress:
    """Votes as they come in.

    Args:
        budget: samples of the full budget, all models together.
        k: of each model.
    """

    def __init__(self, budget: int, k: int) -> None:
        self._budget = budget
        self._k = k
        self._arrived = 0
        self._votes: Counter[tuple[str, str]] = Counter()

    def add(self, sample: Sample) -> None:
        """Count one more."""
        self._arrived += 1
        if sample.answer is not None:
            self._votes[sample.model, sample.answer.key] += 1

    def __str__(self) -> str:
        """`4 of 9 samples, qwen leads 3/3`."""
        arrived = f"{self._arrived} of {self._budget} samples"
        if not self._votes:
            return arrived
        (model, _), votes = self._votes.most_common(1)[0]
        return f"{arrived}, {' '.join(model.split())} leads {votes}/{self._k}"
