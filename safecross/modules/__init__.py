"""Any PyTorch module: its groups of axes, alignment, crossover."""

from .maps import (
    Linear,
    Move,
    Permutation,
    Scaling,
    Selection,
    assert_function_preserved,
    relative_difference,
)
from .spec import Axis, Fixed, Group, Spec, load_spec
from .trace import trace
