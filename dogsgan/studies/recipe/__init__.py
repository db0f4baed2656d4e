"""The recipe study: changes of a training recipe at equal processor time."""
