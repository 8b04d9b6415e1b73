"""Labels before they are used: which answers are likely wrong, second opinions about them, and what is held back from training."""
