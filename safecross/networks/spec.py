"""Which axes of a model's parameters move together, as plain data."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Axis", "Fixed", "Group", "Spec", "load_spec"]

_FORMAT = 1


@dataclass(frozen=True)
class Axis:
    """A dimension of one tensor, or a part of it, that belongs to a group.

    Neuron j of the group lies at the indices ``start + step * j`` plus every sum of multiples of
    the repeats.

    Attributes
    ----------
    tensor : str
        Name in the state dict.
    dim : int
        Which dimension, counted from the last, -1.
    role : {"out", "in", "both", "buffer"}
        Whether it writes the neurons, reads them, or does both; a buffer such as the running
        mean of a batch norm writes them too, but is no weight.
    start, step : int
        Index of the first neuron and distance of two.
    repeats : tuple of (int, int)
        Counts and distances of what is moved alike, such as the pixels of each channel.
    """

    tensor: str
    dim: int
    role: str
    start: int = 0
    step: int = 1
    repeats: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        part = "" if (self.start, self.step) == (0, 1) else f" from {self.start} by {self.step}"
        times = "".join(f" x{count}" for count, _ in self.repeats)
        return f"{self.tensor}[{self.dim}]{part}{times}"


@dataclass(frozen=True)
class Group:
    """Axes that must be permuted together for the model to keep its function.

    Attributes
    ----------
    size : int
        Number of neurons.
    axes : tuple of Axis
        Everything that moves.
    symmetry : {"permutation", "scaling", "orthogonal", "linear"}
        The largest class of maps that keep the function, "out" axes taking the map and "in" axes
        its inverse: permutations; those and positive factors; orthogonal; any invertible map.
    """

    size: int
    axes: tuple[Axis, ...]
    symmetry: str = "permutation"


@dataclass(frozen=True)
class Fixed:
    """An axis, or a part of it, that may not be permuted.

    Attributes
    ----------
    tensor, dim
        As of `Axis`.
    size : int
        Number of its indices.
    reason : str
        What fixes it.
    """

    tensor: str
    dim: int
    size: int
    reason: str


@dataclass(frozen=True)
class Spec:
    """The groups of a model.

    Attributes
    ----------
    model : str
        Name of its class.
    groups : dict of str to Group
        By the name of the module that writes the neurons.
    fixed : tuple of Fixed
        Axes that may not be permuted, each with the reason.
    unknown : dict of str to int
        Operations without a rule, and how often each was met; all that they touch is fixed.
    shapes : dict of str to tuple of int
        Shapes of all tensors of the state dict.
    aliases : dict of str to str
        Names of tied tensors, and the name under which each is listed.
    inputs : int
        Number of the model's inputs.

    Examples
    --------
    >>> axes = (Axis("0.weight", -2, "out"), Axis("2.weight", -1, "in"))
    >>> spec = Spec("Sequential", {"0": Group(3, axes)}, shapes={"0.weight": (3, 2)})
    >>> Spec.from_json(spec.to_json()) == spec
    True
    """

    model: str
    groups: dict[str, Group]
    fixed: tuple[Fixed, ...] = ()
    unknown: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    inputs: int = 1

    @property
    def n_axes(self) -> int:
        """Number of axes that the groups move."""
        return sum(len(group.axes) for group in self.groups.values())

    def to_json(self) -> str:
        """Return the spec as JSON."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1)

    def save(self, path: str | Path) -> None:
        """Write the spec as JSON."""
        Path(path).write_text(self.to_json() + "\n")

    @classmethod
    def from_json(cls, text: str) -> "Spec":
        """Return the spec that `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON.

        Raises
        ------
        ValueError
            If it is not JSON of a spec.
        """
        try:
            raw = json.loads(text)
            if raw.pop("format") != _FORMAT:
                raise ValueError(f"expected format {_FORMAT}")
            groups = {name: _group(**group) for name, group in raw.pop("groups").items()}
            fixed = tuple(Fixed(**entry) for entry in raw.pop("fixed"))
            shapes = {name: tuple(shape) for name, shape in raw.pop("shapes").items()}
            return cls(groups=groups, fixed=fixed, shapes=shapes, **raw)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"expected the JSON of a spec, as Spec.to_json writes it; found {text[:40]!r}: "
                f"{error}"
            ) from error

    def describe(self) -> str:
        """Return the groups, what fixes the other axes, and unknown operations, as text."""
        lines = [
            f"{self.model}: {len(self.groups)} groups that may be permuted, {self.n_axes} axes move"
        ]
        for name, group in self.groups.items():
            more = "" if group.symmetry == "permutation" else f", {group.symmetry} maps too"
            lines.append(f"  {name}: {group.size} neurons{more}")
            for role, verb in (("out", "written by"), ("both", "written and read by")):
                lines += _listed(verb, [a for a in group.axes if a.role == role])
            lines += _listed("read by", [a for a in group.axes if a.role == "in"])
            lines += _listed("buffers", [a for a in group.axes if a.role == "buffer"])
        reasons: dict[str, list[Fixed]] = {}
        for entry in self.fixed:
            reasons.setdefault(entry.reason, []).append(entry)
        if reasons:
            lines.append("Fixed:")
        for reason, entries in reasons.items():
            names = [f"{e.tensor}[{e.dim}]" for e in entries]
            lines.append(f"  {reason}: {_shortened(names)}")
        for operation, count in self.unknown.items():
            lines.append(
                f"No rule for {operation} (met {count} times): all that it touches is fixed"
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.describe()

    def check(self, state: Mapping, name: str = "the model") -> None:
        """Raise ValueError unless the tensors of a state dict have the spec's names and shapes.

        Parameters
        ----------
        state : mapping of str to torch.Tensor
            A state dict; leading dimensions, of a batch of them, may come before the shapes.
        name : str
            How the message calls it.
        """
        missing, more = sorted(self.shapes.keys() - state), sorted(state.keys() - self.shapes)
        if missing or more:
            raise ValueError(
                f"{name} is not of the structure that the spec of {self.model} was traced from: "
                f"missing {_shortened(missing)}; not expected {_shortened(more)}"
            )
        for tensor, shape in self.shapes.items():
            found = tuple(state[tensor].shape)
            if found[len(found) - len(shape) :] != shape:
                raise ValueError(
                    f"{tensor} of {name} must have shape {shape}, as in the spec of {self.model}; "
                    f"found {found}"
                )


def load_spec(path: str | Path) -> Spec:
    """Return the spec that `Spec.save` wrote.

    Parameters
    ----------
    path : str or Path
        A JSON file.

    Raises
    ------
    ValueError
        If it holds no spec.
    """
    return Spec.from_json(Path(path).read_text())


def _group(size: int, axes: list[dict], symmetry: str) -> Group:
    def axis(repeats, **given) -> Axis:
        return Axis(**given, repeats=tuple(tuple(r) for r in repeats))

    return Group(size, tuple(axis(**a) for a in axes), symmetry)


def _listed(verb: str, axes: list[Axis]) -> list[str]:
    return [f"    {verb} {', '.join(map(str, axes))}"] if axes else []


def _shortened(names: list[str], most: int = 6) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + rest
