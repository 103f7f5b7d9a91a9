"""Recombining trained neural networks in weight space: safe crossover by neuron alignment.

A reimplementation of Uriot and Izzo, "Safe Crossover of Neural Networks Through Neuron
Alignment" (GECCO 2020), whose sections the modules follow.
"""

from .alignment.activations import activations
from .alignment.alignment import Alignment, function_difference, permute
from .alignment.cca import (
    CCA,
    BartlettTest,
    bartlett_test,
    cca,
    cca_of_pair,
)
from .alignment.correlation import LayerPair, correlation
from .alignment.frankwolfe import FrankWolfe
from .alignment.matching import (
    LEFTOVER,
    Matching,
    complete,
    match_components,
    match_one_to_one,
    semi_match,
)
from .alignment.operators import align_layers, layer_pairs
from .alignment.rebasin import SinkhornRebasin
from .alignment.registry import (
    METHODS,
    OPERATORS,
    Method,
    Operator,
    get_operator,
)
from .alignment.responses import MontanaDavis, Random
from .alignment.soft import CcaMerge, HardCca
from .alignment.sparse import Lasso
from .alignment.ste import StraightThrough
from .alignment.transport import OptimalTransport
from .alignment.weights import WeightMatching
from .alignment.zipit import ZipIt
from .crossover.curve import (
    GRID,
    Curve,
    FirstLayer,
    barrier,
)
from .crossover.repair import ensemble_curve, repair
from .data import DataError, Dataset, load_data
from .evolution import averaging as _averaging
from .evolution import merging as _merging
from .evolution import runs as _evolution
from .evolution import specialists as _specialists
from .front import align, crossover_curve, interpolate
from .modules import (
    Move,
    Spec,
    assert_function_preserved,
    load_spec,
    trace,
)
from .modules import pairs as _pairs_of_modules
from .modules.many import match_cyclic, merge_many
from .networks.metrics import (
    SOFTMAX,
    accuracy,
    cross_entropy,
    evaluate,
)
from .networks.network import (
    Network,
    check_same_architecture,
    initialise,
    load_network,
    stack,
)
from .networks.training import train
from .replication import baselines as _baselines
from .replication import pairs as _pairs
from .replication.quirks import match_components_by_rank, match_greedy
from .store import DamagedFile, StoreError

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
