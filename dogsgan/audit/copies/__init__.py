"""Copies: every training picture in each form, the search for it in pixels and features, and its proof."""
