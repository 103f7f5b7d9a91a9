"""The graph of a module's function: read by `torch.export`, run with any parameters."""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

__all__ = ["arguments"]

_NARROW = (torch.float16, torch.bfloat16, torch.float32)


@dataclass(frozen=True, eq=False)
class Graph:
    """A module's function as a graph of operations without side effects.

    Attributes
    ----------
    program : torch.export.ExportedProgram
        As exported.
    tensors : dict of str to str
        For each placeholder that is no input, the name of the parameter, buffer or constant.
    fixed : frozenset of str
        Names that no state dict holds: constants and buffers that are not saved.
    inputs : tuple of str
        Placeholders of the inputs.
    """

    program: ExportedProgram
    tensors: dict[str, str]
    fixed: frozenset[str]
    inputs: tuple[str, ...]

    @property
    def nodes(self):
        """Operations in order."""
        return self.program.graph.nodes

    def state(self) -> dict[str, torch.Tensor]:
        """Return all parameters, buffers and constants by name."""
        held = {**self.program.state_dict, **self.program.constants}
        return {name: held[name].detach() for name in self.tensors.values()}


def arguments(example) -> tuple:
    """Return a module's positional arguments.

    Parameters
    ----------
    example : torch.Tensor or tuple
        One input, or all of them.

    Raises
    ------
    TypeError
        If it is neither.

    Examples
    --------
    >>> len(arguments(torch.zeros(1)))
    1
    """
    if isinstance(example, torch.Tensor):
        return (example,)
    if isinstance(example, (tuple, list)):
        return tuple(example)
    raise TypeError(
        "an example must be a tensor, or a tuple of the module's inputs; "
        f"found {type(example).__name__}"
    )


def read_graph(model: nn.Module, example, double: bool = False) -> Graph:
    """Return the graph of a module's function in evaluation mode.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    example : torch.Tensor or tuple
        Inputs; the graph holds for their shapes.
    double : bool
        Whether parameters and inputs are turned into float64.

    Raises
    ------
    TypeError
        If `model` is no module, or `example` neither tensor nor tuple.
    ValueError
        If the module does not run on the example, or `torch.export` refuses it.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch.nn.Module; found {type(model).__name__}")
    inputs = arguments(example)
    _check_runs(model, inputs)
    model = copy.deepcopy(model).eval()
    if double:
        model, inputs = model.double(), tuple(map(_as_double, inputs))
    try:
        # The exporter warns of its own internals, also where all is well.
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(model, inputs).run_decompositions({})
    except Exception as error:
        raise ValueError(
            f"torch.export cannot read {type(model).__name__}: {_first_line(error)}. Write the "
            "forward pass without what depends on values (branches, .item(), data-dependent "
            "shapes), or hand in the part of the model that has none"
        ) from error
    return _named(program)


def _check_runs(model: nn.Module, inputs: tuple) -> None:
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    except Exception as error:
        shapes = ", ".join(str(tuple(getattr(x, "shape", ()))) for x in inputs)
        raise ValueError(
            f"{type(model).__name__} does not run on the example of shape {shapes}: "
            f"{_first_line(error)}"
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _as_double(x):
    return x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x


def _named(program: ExportedProgram) -> Graph:
    tensors, fixed, inputs = {}, set(), []
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            inputs.append(getattr(spec.arg, "name", ""))
            continue
        tensors[spec.arg.name] = spec.target
        if spec.kind not in (InputKind.PARAMETER, InputKind.BUFFER) or spec.persistent is False:
            fixed.add(spec.target)
    return Graph(program, tensors, frozenset(fixed), tuple(inputs))


class _Interpreter(fx.Interpreter):
    """Runs a graph; in float64 without rounding to narrower types on the way."""

    def __init__(self, graph: Graph, double: bool, watch):
        super().__init__(graph.program.graph_module)
        self.double, self.watch = double, watch

    def run_node(self, node):
        result = super().run_node(node)
        if self.watch is not None:
            self.watch(node.name, result)
        return result

    def call_function(self, target, args, kwargs):
        if self.double:
            args = tuple(_wide(a) for a in args)
            kwargs = {k: _wide(v) for k, v in kwargs.items()}
        return super().call_function(target, args, kwargs)


def _wide(value):
    return torch.float64 if isinstance(value, torch.dtype) and value in _NARROW else value


@torch.no_grad()
def run_graph(
    graph: Graph, state: Mapping[str, torch.Tensor], example, watch=None, double: bool = False
) -> list[torch.Tensor]:
    """Return the outputs of a graph with other parameters.

    Parameters
    ----------
    graph : Graph
        As read, for inputs of these shapes.
    state : mapping of str to torch.Tensor
        Every tensor that the graph names.
    example : torch.Tensor or tuple
        Inputs.
    watch : callable, optional
        ``watch(name, result)`` sees what each operation returns.
    double : bool
        Whether everything is computed in float64, whatever types the module asks for.

    Returns
    -------
    list of torch.Tensor
        The outputs, flat, without those that are no tensors.
    """
    inputs = [_as_double(x) if double else x for x in arguments(example)]
    held = dict(zip(graph.inputs, inputs, strict=True))
    held |= {name: state[tensor] for name, tensor in graph.tensors.items()}
    order = [node.name for node in graph.nodes if node.op == "placeholder"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = _Interpreter(graph, double, watch).run(
            *(held[name] for name in order), enable_io_processing=False
        )
    return [x for x in found if isinstance(x, torch.Tensor)]
