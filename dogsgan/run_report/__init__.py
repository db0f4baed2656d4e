"""What a run shows to others: one self-contained page, and a model card beside its generator."""
