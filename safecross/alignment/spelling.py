"""How operators and their options are spelled in one word."""

import json

from .. import checks
from .registry import get_operator

__all__ = ["AFTER", "literal", "parse_operator", "split_after"]

#: What may be done with each offspring after interpolation: REPAIR of a `Network`, or estimating a
#: module's batch norms anew; written behind the operator, as in ``sc-pwc+repair``.
AFTER = ("repair", "reestimate")


def parse_operator(text: str) -> tuple[str, dict]:
    """Return the name and the options of an operator written in one word.

    Parameters
    ----------
    text : str
        ``name`` or ``name:option=value,option=value``.

    Returns
    -------
    name : str
        A name in the registry.
    options : dict
        Values read as int, float, bool or else str.

    Raises
    ------
    ValueError
        If the operator or an option is unknown, or an option has no value.

    Examples
    --------
    >>> parse_operator("sc-cca:directions=256,leftover=correlation")
    ('sc-cca', {'directions': 256, 'leftover': 'correlation'})
    """
    if not isinstance(text, str):
        raise ValueError(f"operators must be strings; found {checks.shown(text)}")
    name, _, rest = text.partition(":")
    entry = get_operator(name)
    options = {}
    for item in filter(None, rest.split(",")):
        option, equals, value = item.partition("=")
        entry.check_option(option)
        if not equals or not value:
            raise ValueError(f"expected option=value in operator {text!r}; found {item!r}")
        if option in options:
            raise ValueError(f"expected each option once in operator {text!r}; found two {option}")
        options[option] = literal(value)
    entry(**options)
    return name, options


def split_after(operator: str) -> tuple[str, str]:
    """Return an operator without what follows it, and that: one of `AFTER`, or nothing.

    Examples
    --------
    >>> split_after("sc-pwc+repair"), split_after("sc-cca:ridge=1e+3")
    (('sc-pwc', 'repair'), ('sc-cca:ridge=1e+3', ''))
    """
    for after in AFTER:
        if isinstance(operator, str) and operator.endswith(f"+{after}"):
            return operator.removesuffix(f"+{after}"), after
    return operator, ""


def literal(value: str):
    """Return a word of the command line as int, float, bool, None or else str; never a list.

    Examples
    --------
    >>> literal("3"), literal("1e-3"), literal("true"), literal("mnist")
    (3, 0.001, True, 'mnist')
    """
    try:
        read = json.loads(value.lower() if value in ("True", "False") else value)
    except (ValueError, RecursionError):
        return value
    return value if isinstance(read, list | dict) else read
