"""Look at the built book as its readers do: every page, wide and narrow, in light and in dark.

``make check-book`` runs it. ``files`` reads the pages as they lie on the disk: links, weights, heads.
``views`` opens each of them in a browser and measures what is there. A check is a function that
yields a line for each thing that is wrong; ``CHECKS`` in either module lists them.
"""
