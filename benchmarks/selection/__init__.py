"""Ways of choosing samples to annotate, held against each other: what a refresh gains by them, what it breaks, what they cost."""
