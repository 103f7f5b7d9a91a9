"""What was found, in sentences: written from the published records into the pages that say it.

A page marks where a finding stands::

    <!-- finding ranking-answer -->
    ...
    <!-- /finding -->

``python -m safecross.book.findings`` writes the text between the marks, ``--check`` fails if it differs
from the records, and ``--answers`` prints the opening answer of each chapter. A sentence that
states a result checks it first: if the records stop supporting it, writing fails.
"""

from . import (  # noqa: F401 - they enter their findings
    beyond,
    landing,
    populations,
    replication,
    verdicts,
)
from .published import FINDINGS, Published
from .writing import answers, main, write_findings

__all__ = ["FINDINGS", "Published", "answers", "main", "write_findings"]
