"""Bytes in, records out: every decoder ends in a sample or a rejection with a bounded reason, never in an exception."""
