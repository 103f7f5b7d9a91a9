"""Figures and tables of the book: they draw what they are given and compute nothing."""

from . import charts, drawings, page
from .charts import *  # noqa: F403
from .drawings import *  # noqa: F403
from .page import *  # noqa: F403

__all__ = [*charts.__all__, *drawings.__all__, *page.__all__]
