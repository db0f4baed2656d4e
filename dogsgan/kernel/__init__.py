"""One Kaggle kernel from this package: build it, rehearse it here, push it, fetch and submit its output."""
