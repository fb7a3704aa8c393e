"""Studies beside the frontier of a scan of sizes: a folder each, which uses nothing that a stranger's could not."""
