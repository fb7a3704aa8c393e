"""What each single change between two architectures does."""
