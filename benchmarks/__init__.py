"""Figures that the project stands for: what a sample costs, what memory does, how soon drift is seen and how often it is not there."""
