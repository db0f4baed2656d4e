"""dogsgan: from a generative-image competition's files to a scored, audited `images.zip`.

Data passes through its packages in this order: data, models, training, submission; then pictures, features,
metrics, score, audit. `tests/test_imports.py` holds the order of imports.
"""

__version__ = "0.1.0"
