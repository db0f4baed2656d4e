"""Supervised stages: crops, training and sampling in child processes that may crash, hang or overrun."""
