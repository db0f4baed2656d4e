"""dogsgan: from a generative-image competition's files to a scored, audited `images.zip`.

Data moves one way through the rooms of this package:
data -> training -> sampling -> submission -> features -> metrics -> score -> audit.
"""

__version__ = "0.1.0"
