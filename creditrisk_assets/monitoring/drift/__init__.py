"""Whether applicants still look like those the model was trained on: by effect size, on all of them, against the bundle's own counts.

`month` measures a table, `counting` counts it, `effects` compares counts, `causes` names what happened, `attribution` and `domain` look
at bounded samples, `report` is the verdict, `evidently_report`, `plots` and `publication` show it.
"""
