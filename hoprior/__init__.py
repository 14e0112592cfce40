"""hoprior."""
