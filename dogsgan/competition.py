"""Generative Dog Images (Kaggle, 2019): what the competition takes, and what it is called."""

SLUG = "generative-dog-images"
COUNT = 10_000
"""Pictures in a submission."""
SIZE_PX = 64
"""Side of each."""
CHANNELS = 3
