"""``python -m safecross.modules``: the table of torchvision's models."""

import sys

from .table import main

if __name__ == "__main__":
    sys.exit(main())
