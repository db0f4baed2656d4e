"""The networks that turn pictures into features, their weights, and the features kept of them."""
