"""What a network is.

Networks of layers, their training and metrics, and how their parameters may be permuted.
"""
