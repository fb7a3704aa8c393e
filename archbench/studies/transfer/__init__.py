"""What pre-training on one text is worth on another."""
