"""A crop set and a recipe in, a run folder with an averaged generator out."""
