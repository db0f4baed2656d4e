"""The augmentation study: generated pictures beside classic augmentation for a classifier."""
