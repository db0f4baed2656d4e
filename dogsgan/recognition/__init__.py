"""Recognition: how often a classifier of ImageNet's classes sees in a picture what it should show."""
