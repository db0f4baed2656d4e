"""The attention study: self-attention at several map sizes, with and without spectral norm."""
