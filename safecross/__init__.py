"""Recombining trained neural networks in weight space: safe crossover by neuron alignment.

A reimplementation of Uriot and Izzo, "Safe Crossover of Neural Networks Through Neuron
Alignment" (GECCO 2020), whose sections the modules follow.
"""

from . import pairs as _pairs
from .activations import activations
from .alignment import Alignment, function_difference, permute
from .cca import CCA, BartlettTest, bartlett_test, cca, cca_of_pair
from .correlation import LayerPair, correlation
from .crossover import GRID, Curve, FirstLayer, barrier
from .data import DataError, Dataset, load_data
from .evolution import averaging as _averaging
from .evolution import merging as _merging
from .evolution import runs as _evolution
from .frankwolfe import FrankWolfe
from .front import align, crossover_curve, interpolate
from .many import match_cyclic, merge_many
from .matching import (
    LEFTOVER,
    Matching,
    complete,
    match_components,
    match_components_by_rank,
    match_greedy,
    match_one_to_one,
    semi_match,
)
from .metrics import SOFTMAX, accuracy, cross_entropy, evaluate
from .modules import Move, Spec, assert_function_preserved, load_spec, trace
from .modules import pairs as _pairs_of_modules
from .network import Network, check_same_architecture, initialise, load_network, stack
from .operators import align_layers, layer_pairs
from .rebasin import SinkhornRebasin
from .registry import METHODS, OPERATORS, Method, Operator, get_operator
from .repair import ensemble_curve, repair
from .responses import MontanaDavis, Random
from .soft import CcaMerge, HardCca
from .sparse import Lasso
from .ste import StraightThrough
from .store import DamagedFile, StoreError
from .training import train
from .transport import OptimalTransport
from .weights import WeightMatching
from .zipit import ZipIt

__version__ = "0.1.0"

#: What users call; the rest is there for the book and for those who look closer.
__all__ = [
    "OPERATORS",
    "Alignment",
    "Curve",
    "DamagedFile",
    "DataError",
    "Dataset",
    "Move",
    "Network",
    "Spec",
    "StoreError",
    "activations",
    "align",
    "assert_function_preserved",
    "barrier",
    "cca",
    "correlation",
    "crossover_curve",
    "ensemble_curve",
    "evaluate",
    "function_difference",
    "initialise",
    "interpolate",
    "load_data",
    "load_network",
    "load_spec",
    "permute",
    "repair",
    "stack",
    "trace",
    "train",
]
