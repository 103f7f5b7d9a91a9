"""Any PyTorch module: its groups of axes, alignment, crossover."""

from ..alignment.maps import (
    Linear,
    Permutation,
    Scaling,
    Selection,
)
from ..networks.spec import (
    Axis,
    Fixed,
    Group,
    Spec,
    load_spec,
)
from .align import align, align_groups, group_pairs
from .interpolate import (
    average,
    crossover_curve,
    evaluate,
    interpolate,
    load_state,
    reestimate,
    save_state,
)
from .maps import Move, assert_function_preserved, relative_difference
from .trace import trace

__all__ = [
    "Axis",
    "Fixed",
    "Group",
    "Linear",
    "Move",
    "Permutation",
    "Scaling",
    "Selection",
    "Spec",
    "align",
    "align_groups",
    "assert_function_preserved",
    "average",
    "crossover_curve",
    "evaluate",
    "group_pairs",
    "interpolate",
    "load_spec",
    "load_state",
    "reestimate",
    "relative_difference",
    "save_state",
    "trace",
]
