"""Comparisons over seeds, on top of everything else: the same budget for each variant, one row for each."""
