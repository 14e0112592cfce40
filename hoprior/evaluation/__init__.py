"""What `hoprior eval` measures, without a command line: grasps, priors, refinement, reconstruction."""
