"""Populations of networks: brought into one frame, mated, mutated, averaged and evolved."""

from .mating import RECOMBINATIONS, mate
from .mutation import mutate, mutate_safely
from .population import (
    align_population,
    greedy_soup,
    mean,
    repaired_mean,
    scramble,
)

__all__ = [
    "RECOMBINATIONS",
    "align_population",
    "greedy_soup",
    "mate",
    "mean",
    "mutate",
    "mutate_safely",
    "repaired_mean",
    "scramble",
]
