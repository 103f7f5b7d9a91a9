"""``make check-book``: a line for each thing that is wrong with the built book."""

import argparse
import sys
from pathlib import Path

from checkbook.axe import MissingToolError
from checkbook.files import SITE, check_files


def main() -> int:
    """Check the book; return 1 if anything is wrong, 2 if it cannot be checked."""
    parser = argparse.ArgumentParser(prog="python -m checkbook", description=__doc__)
    parser.add_argument("site", nargs="?", type=Path, default=SITE, help="folder of the built book")
    parser.add_argument("--page", nargs="+", dest="names", help="only these, such as book/index")
    options = parser.parse_args()
    if not (options.site / "index.html").is_file():
        print(f"no book in {options.site}: run `make book`", file=sys.stderr)
        return 2
    try:
        from checkbook.views import check_views  # needs Playwright, which the files do not

        found = [*check_files(options.site), *check_views(options.site, options.names)]
    except ModuleNotFoundError as error:
        print(f"{error}: pip install 'safecross[check]'", file=sys.stderr)
        return 2
    except MissingToolError as error:
        print(error, file=sys.stderr)
        return 2
    for problem in found:
        print(problem)
    print(f"{len(found)} problems")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
