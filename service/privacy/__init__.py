"""What leaves an installation: with age, and because somebody asks for it; and what may leave it for those who help."""
