"""What runs inside the rivals' own environments: it knows numpy and one of them, and nothing of the project."""
