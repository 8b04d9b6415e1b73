"""The kept samples that are most like a sample, a failure cluster or a set, whenever somebody asks for them."""
