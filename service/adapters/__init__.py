"""One small module per technology, behind the protocols of `service.ports`; chosen in `app` alone."""
