"""Runs on nested subsets of a text: L(D), and with all sizes L(N,D)."""
