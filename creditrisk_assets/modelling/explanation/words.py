"""Words: how the description of a feature is said to an applicant, who is no programmer.

What belongs here: what is replaced in descriptions, in this order. What does not: sources, states, groups (`reasons`). Descriptions are the
contracts'; what they say is kept, remarks for those who compute are left out, formulas are said in words.
"""

import re
from collections.abc import Mapping

_REMARK = re.compile(r"\s*\([^()]*\)|;[^,]*")  # what NULL and signs mean, for those who compute

PLAIN: Mapping[str, str] = {
    # formulas
    r"(?:,| by the rule) 24 × cost /": "",
    r", 0 if they do not exceed it": "",
    r", one for every [\d.]+ days and for what is left of them(?:, as many as the term at most)?": "",
    r": of 6, 12, … 60 months.*": "",
    r"^terms of 6, 12, … 60 months at which.*": "number of plausible terms",
    r", to 1/10000 of it": "",
    r": the feed gives 365243 days": "",
    r": the term it would have without interest": "",
    r", weighted 19 : 21 : 26": ", weighted",
    r",? (?:each )?at most 10?\b(?: each)?": "",
    r", between -10 and 10": "",
    r", late instalments counting 0": "",
    r", 0 if it is past,": "",
    r", in whole units,": "",
    r" by least squares": "",
    r", as change per (?:month|year)": "",
    r", each from -10 to 10": "",
    r", instalments on time counting 0": "",
    r", weighing half for each (\d+ (?:days|months)) (?:that have gone by|back)": r", counting half as much for every \1 gone by",
    r", weighing half for each (\d+ (?:days|months)) since .*": r", counting half as much for every \1 of age",
    r"\bsimple yearly rate(s?)\b": r"yearly rate\1 of interest",
    r"\b(shortest|longest) plausible term$": r"\1 plausible term of the loan",
    r"^number of plausible terms$": "number of plausible terms of the loan",
    # scores of credit agencies
    r"^product of the external scores$": "all scores taken together",
    r"^product of external scores (\d) and (\d)$": r"scores \1 and \2 taken together",
    r"^(.*?),? times (?:the )?(external score \d|mean of the known external scores)$": r"\2 taken together with \1",
    r"^(external score \d) less (external score \d)$": r"\1 compared with \2",
    r"^standard deviation of the known external scores$": "how far your scores lie apart",
    r"^median of the known external scores$": "the middle one of your scores",
    r"^highest less lowest known external score$": "difference between your highest and your lowest score",
    r",? per (?:the )?(external score \d|mean of the known external scores)$": r", set against \1",
    r"\bknown external score": "score",
    r"\bexternal score": "score",
    r"^scores that are missing$": "number of scores not known",
    # sources' own words
    r",? normalised(?: average| by the source)?": "",
    r" times the population": " taken together with the population",
    r"\blender's rating of the region\b": "our rating of your region",
    r"^nullable columns of the application that are missing": "number of details left empty",
    r"^columns about (the )?(.*?) that are missing": r"number of details about \1\2 left empty",
    r"^averages about the building that are missing": "number of average figures about the building left empty",
    r"^facts about the building that are missing": "number of facts about the building left empty",
    r"\bannuit(?:y|ies) figure": "instalment figure",
    r"\bannuities\b": "instalments",
    r"\bcurrency 1\b": "our own",
    r"\breason HC\b": "reason HC of our own list",
    r"\bmonthly status(es)?\b": r"monthly repayment status\1",
    r"\brevolving loans\b": "credit lines",
    r"\ban amortized\b": "a written down",
    r"\bamortized\b": "written down",
    r"\bsmall debts tolerated\b": "small amounts left aside",
    r"\bstandard deviation of\b": "ups and downs of",
    r"\bpeople in the social circle observed for (\d+) days past due\b": r"people around you watched for payments \1 days past due",
    r"\bpeople in the social circle (\d+) days past due\b": r"people around you \1 days past due",
    r"\bpopulation of the region of residence\b": "number of inhabitants of your region",
    r"\bfloors max\b": "highest number of floors",
    r"\bfloors min\b": "lowest number of floors",
    r"\byears build\b": "years since it was built",
    r"\bnonliving\b": "non-residential",
    r"\bthe social circle\b": "the people around you",
    r"\bbureau enquiries\b": "enquiries to the credit bureau",
    # numbers of rows
    r", of the last 1 opened\b": ", of the one opened last",
    r", of the latest 1 due\b": ", of the one due last",
    r", numbers up to 1 of each loan\b": ", of the first instalment of each loan",
    r", numbers up to (\d+) of each loan\b": r", of the first \1 instalments of each loan",
    r", of the last 1 (?:contracts|loans or cards) begun\b": ", of the one begun last",
    r", of the last 1 months up to the latest balance\b": ", in the month of the latest balance",
    r", of the last 1 (\w+)": r", of the one \1 last",
    # the applicant is spoken to
    r"^owns ": "you own ",
    r"^gave ": "you gave ",
    r"^applied here before$": "you applied to us before",
    r"^has ": "you have ",
    r" here$": " with us",
    r"\bage of the applicant's car\b": "age of your car",
    r"\bage of the applicant\b": "your age",
    r", the applicant included\b": ", you included",
    r"\bper child and applicant\b": "for you and each child",
    r"\babout the applicant\b": "about you",
    r"\bthe applicant\b": "you",
    # quantities
    r"\bper day of age\b": "compared with your age",
    r"\bper day in the current job\b": "compared with the time in the current job",
    r"\bmean (of|over|number|time|days|amount|agreed|share|term|loan|balance|trend|months)\b": r"average \1",
    r"\bmean\b": "average",
    r"\bper (month|instalment|settled|paid|known|ended|one)\b": r"for each \1",
    r"\bper (credit|application|contract|card|loan|approved loan|completed contract|family member)\b(?! amount)": r"for each \1",
    r"\bper\b": "compared with",
}
_PLAIN = tuple((re.compile(pattern), said) for pattern, said in PLAIN.items())


_SHARE = re.compile(
    r"(,?) per (loan or card|(?:[a-z]+ed |known )?(?:application|card|contract|credit|instalment|loan|month|one))\b"
)


def say(description: str, *, share: bool = False) -> str:
    """Say a description to an applicant.

    Parameters
    ----------
    description
        Of the contract.
    share
        Whether it is of a share: some of all.

    Examples
    --------
    >>> say("Product of external scores 2 and 3 (NULL without either)")
    'scores 2 and 3 taken together'
    >>> say("Late instalments per settled one, due in the last 365 days", share=True)
    'late instalments as a share of all settled ones, due in the last 365 days'
    """
    said = description
    while (shorter := _REMARK.sub("", said)) != said:
        said = shorter
    said = said.strip()
    said = f"{said[:1].lower()}{said[1:]}"
    if share:
        said = _SHARE.sub(
            lambda found: f"{found[1]} as a share of all {found[2].replace(' or ', 's or ')}s", said, count=1
        )
    for pattern, words in _PLAIN:
        said = pattern.sub(words, said)
    return said.strip(" ,:")
