"""What a monitor's model is known to fail on: which samples, what of them is of one kind, and where that may come from."""
