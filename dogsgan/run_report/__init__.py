"""Reports of a run for others: one self-contained page, and a model card beside its generator."""
