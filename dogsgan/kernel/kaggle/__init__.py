"""Kaggle, through its official client: push a kernel, follow it, fetch its output, submit it."""
