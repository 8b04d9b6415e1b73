"""What an alarm shows, and what is known of one sample."""
