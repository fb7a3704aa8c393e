"""Learning curves of all sizes on one batch: L(N,S) and L(C_min)."""
