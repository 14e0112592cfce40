"""How weights are trained: optimisers, averages, fine-tuning."""
