"""Pictures ─▶ images.zip, and the checks the competition makes of it. Stands between sampling and score."""

from dogsgan.submission.checking import CheckReport, Problem, check_submission
from dogsgan.submission.writing import SubmissionReport, write_submission

__all__ = ["CheckReport", "Problem", "SubmissionReport", "check_submission", "write_submission"]
