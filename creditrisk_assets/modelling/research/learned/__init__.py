"""Features that are fitted: learned inside the pipeline, from the rows of a fit alone, cross-fitted by applicant."""
