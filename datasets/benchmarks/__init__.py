"""What priors and tasks are measured on."""
