"""Reports on runs and submissions: evaluation over time, ranking, pictures of what was learned, a page."""
