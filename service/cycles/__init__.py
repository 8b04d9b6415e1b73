"""What opens refresh cycles, where they stand, and who is told."""
