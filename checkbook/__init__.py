"""Look at the built book as its readers do: every page, wide and narrow, in light and in dark.

``make check-book`` runs it. ``files`` reads the pages as they lie on disk: links, weights, heads.
``views`` opens each in a browser and measures what is there. A check is a function that yields a
line for each thing that is wrong; ``CHECKS`` of either module lists them.
"""
