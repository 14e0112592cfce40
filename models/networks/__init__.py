"""The networks that the priors are made of."""
