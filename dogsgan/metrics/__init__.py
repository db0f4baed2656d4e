"""The metrics of generated pictures: functions of two sets of features, which know no network and no file."""
