"""axe-core, from its published package, and what it finds that is the theme's."""

import base64
import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from checkbook.files import ROOT

VERSION = "4.14.1"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
AXE = ROOT / "_build" / f"axe-core-{VERSION}" / "axe.min.js"


class MissingToolError(Exception):
    """Something that the check needs is not installed; the message says what to do."""


@dataclass(frozen=True)
class Exempt:
    """A finding that our pages do not cause: its rule, and what its element looks like."""

    rule: str
    html: str
    reason: str

    def covers(self, rule: str, html: str) -> bool:
        """Tell whether a finding is this one."""
        return rule == self.rule and re.search(self.html, html) is not None


EXCEPTIONS = (
    Exempt(
        "label-content-name-mismatch",
        r"search-button__button|theme-switch-button",
        "the theme's button is called `Search` and shows its key too, or shows an icon",
    ),
    Exempt("region", r"sidebar-primary-item", "the theme puts the book's name in no landmark"),
    Exempt("aria-allowed-role", r"doc-biblioentry", "docutils marks references up like this"),
    Exempt("aria-deprecated-role", r"doc-biblioentry", "docutils marks references up like this"),
    Exempt("aria-required-children", r"citation-list", "docutils marks references up like this"),
)


def fetch_axe() -> Path:
    """Fetch axe-core, unless it is there, and hold it against its published sum.

    Returns
    -------
    Path
        The script to load in a page.

    Raises
    ------
    MissingToolError
        If it is not there and npm is not installed.
    ValueError
        If what came is not what was published.
    """
    if AXE.is_file():
        return AXE
    npm = shutil.which("npm")
    if npm is None:
        raise MissingToolError("no npm to fetch axe-core with: install Node.js, which brings it")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (package,) = Path(folder).iterdir()
        unpack_axe(package, AXE)
    return AXE


def unpack_axe(package: Path, target: Path, sha512: str = SHA512) -> None:
    """Take the script out of a package whose sum is right."""
    found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != sha512:
        raise ValueError(f"axe-core {VERSION} has the sum {found}, not the published {sha512}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(package) as archive:
        target.write_bytes(archive.extractfile("package/axe.min.js").read())
