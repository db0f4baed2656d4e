"""Which generated pictures copy training data, and what that means: `dogsgan audit`."""
