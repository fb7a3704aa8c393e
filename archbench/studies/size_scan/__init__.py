"""L(N) of the scan of sizes."""
