"""What runs on Kaggle: a built kernel packs this and what it imports, and nothing else of the package."""
