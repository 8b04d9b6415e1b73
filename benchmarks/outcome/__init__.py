"""What a whole refresh comes to: labels chosen, checked, trained on, and switched."""
