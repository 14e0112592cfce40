"""One data module a prior, beside what its items are made of."""
