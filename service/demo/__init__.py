"""The demo's world: customers who write to a shop's support chat, an annotator, a classifier to refresh."""
