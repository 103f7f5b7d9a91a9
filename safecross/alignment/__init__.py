"""How the neurons of two networks correspond.

Activations, correlations, CCA, matching, and every method of the registry.
"""
