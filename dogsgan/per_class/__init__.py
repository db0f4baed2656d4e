"""The score of each class by itself: `dogsgan score --per-class`."""
