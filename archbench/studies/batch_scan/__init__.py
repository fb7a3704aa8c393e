"""The critical batch: by batches of different size, and by gradient noise."""
