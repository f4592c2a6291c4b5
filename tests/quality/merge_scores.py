"""How well people were put together: counts of pairs, without ever listing the pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairScore:
    """How two groupings of the same records agree, pair by pair.

    :param right: pairs that both groupings join
    :param joined: pairs that the grouping under test joins
    :param true: pairs that the truth joins
    """

    right: int
    joined: int
    true: int

    @property
    def precision(self) -> float:
        """Share of the joined pairs that are one person; 1 when nothing was joined."""
        return self.right / self.joined if self.joined else 1.0

    @property
    def recall(self) -> float:
        """Share of the true pairs that were joined; 1 when there are none."""
        return self.right / self.true if self.true else 1.0


def pair_score(truth: Mapping[Hashable, Hashable], placed: Mapping[Hashable, Hashable]) -> PairScore:
    """Return the score of a grouping.

    :param truth: record → person
    :param placed: record → golden row; a record that is missing here is alone
    """
    both: Counter[Hashable] = Counter((truth[record], group) for record, group in placed.items())
    return PairScore(right=_pairs(both), joined=_pairs(Counter(placed.values())), true=_pairs(Counter(truth.values())))


def _pairs(sizes: Counter[Hashable]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())
