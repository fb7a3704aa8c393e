"""Every size at every budget of compute."""
