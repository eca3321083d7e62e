"""Notices of adverse action: what an applicant who is not approved is told in writing."""
