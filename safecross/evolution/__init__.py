"""Populations of networks: aligned once, mated, mutated, averaged and evolved."""
