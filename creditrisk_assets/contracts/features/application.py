"""Contract of the feature family application.

What belongs here: what each feature is (description, unit, bounds). What does not: how it is computed
(`features/sql/application.sql`).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class Application(DataFrameModel):
    """Grain: one row per SK_ID_CURR. The application itself: the loan asked for, the person, the building, external scores."""

    sk_id_curr: dt.Int64 = d.key()
    application__income_amt: dt.Float64 = d.amount("Declared yearly income", nullable=False)
    application__credit_amt: dt.Float64 = d.amount("Amount of the loan applied for", nullable=False)
    application__annuity_amt: dt.Float64 = d.amount("Regular instalment of the loan applied for")
    application__goods_price_amt: dt.Float64 = d.amount("Price of the goods the loan pays for")
    application__age_days: dt.Int64 = d.days("Age of the applicant", maximum=43830, nullable=False)
    application__employed_days: dt.Int64 = d.days(
        "Days in the current job; NULL without employment (365243 in the feed)"
    )
    application__registration_days: dt.Int64 = d.days("Days since the registration was changed")
    application__id_publish_days: dt.Int64 = d.days("Days since the identity document was changed")
    application__phone_change_days: dt.Int64 = d.days("Days since the phone was changed")
    application__car_age_months: dt.Int64 = d.months(
        "Age of the applicant's car (fed in whole years); NULL without a car"
    )
    application__children_count: dt.Int64 = d.count("Children", nullable=False)
    application__family_members_count: dt.Int64 = d.count("Family members, the applicant included")
    application__region_population_ratio: dt.Float64 = d.ratio(
        "Population of the region of residence, normalised by the source", maximum=1
    )
    application__region_rating_level: dt.Int64 = d.level(
        "Lender's rating of the region (1 best, 3 worst)", minimum=1, maximum=3
    )
    application__city_rating_level: dt.Int64 = d.level(
        "Lender's rating of the region with its city (1 best, 3 worst)", minimum=1, maximum=3
    )
    application__process_start_hours: dt.Int64 = d.hours("Hour of the day at which the application was started")
    application__ext_1_score: dt.Float64 = d.score("External score 1, normalised by the source (high is good)")
    application__ext_2_score: dt.Float64 = d.score("External score 2, normalised by the source (high is good)")
    application__ext_3_score: dt.Float64 = d.score("External score 3, normalised by the source (high is good)")
    application__building_apartments_score_avg: dt.Float64 = d.score(
        "Building of residence: apartments, normalised average"
    )
    application__building_basement_area_score_avg: dt.Float64 = d.score(
        "Building of residence: basement area, normalised average"
    )
    application__building_years_in_use_score_avg: dt.Float64 = d.score(
        "Building of residence: years in use, normalised average"
    )
    application__building_years_build_score_avg: dt.Float64 = d.score(
        "Building of residence: years build, normalised average"
    )
    application__building_common_area_score_avg: dt.Float64 = d.score(
        "Building of residence: common area, normalised average"
    )
    application__building_elevators_score_avg: dt.Float64 = d.score(
        "Building of residence: elevators, normalised average"
    )
    application__building_entrances_score_avg: dt.Float64 = d.score(
        "Building of residence: entrances, normalised average"
    )
    application__building_floors_max_score_avg: dt.Float64 = d.score(
        "Building of residence: floors max, normalised average"
    )
    application__building_floors_min_score_avg: dt.Float64 = d.score(
        "Building of residence: floors min, normalised average"
    )
    application__building_land_area_score_avg: dt.Float64 = d.score(
        "Building of residence: land area, normalised average"
    )
    application__building_living_apartments_score_avg: dt.Float64 = d.score(
        "Building of residence: living apartments, normalised average"
    )
    application__building_living_area_score_avg: dt.Float64 = d.score(
        "Building of residence: living area, normalised average"
    )
    application__building_nonliving_apartments_score_avg: dt.Float64 = d.score(
        "Building of residence: nonliving apartments, normalised average"
    )
    application__building_nonliving_area_score_avg: dt.Float64 = d.score(
        "Building of residence: nonliving area, normalised average"
    )
    application__building_total_area_score: dt.Float64 = d.score("Building of residence: total area, normalised")
    application__has_car: dt.Boolean = d.flag("Owns a car")
    application__has_realty: dt.Boolean = d.flag("Owns a house or a flat")
    application__has_mobile: dt.Boolean = d.flag("Gave a mobile phone")
    application__has_employer_phone: dt.Boolean = d.flag("Gave the employer's phone")
    application__has_work_phone: dt.Boolean = d.flag("Gave a work phone")
    application__has_reachable_mobile: dt.Boolean = d.flag("The mobile phone could be reached")
    application__has_home_phone: dt.Boolean = d.flag("Gave a home phone")
    application__has_email: dt.Boolean = d.flag("Gave an e-mail address")
    application__is_reg_region_not_live_region: dt.Boolean = d.flag(
        "Permanent and contact address are in different regions"
    )
    application__is_reg_region_not_work_region: dt.Boolean = d.flag(
        "Permanent and work address are in different regions"
    )
    application__is_live_region_not_work_region: dt.Boolean = d.flag(
        "Contact and work address are in different regions"
    )
    application__is_reg_city_not_live_city: dt.Boolean = d.flag("Permanent and contact address are in different cities")
    application__is_reg_city_not_work_city: dt.Boolean = d.flag("Permanent and work address are in different cities")
    application__is_live_city_not_work_city: dt.Boolean = d.flag("Contact and work address are in different cities")
    application__has_document_2: dt.Boolean = d.flag("Document 2 was handed in")
    application__has_document_3: dt.Boolean = d.flag("Document 3 was handed in")
    application__has_document_4: dt.Boolean = d.flag("Document 4 was handed in")
    application__has_document_5: dt.Boolean = d.flag("Document 5 was handed in")
    application__has_document_6: dt.Boolean = d.flag("Document 6 was handed in")
    application__has_document_7: dt.Boolean = d.flag("Document 7 was handed in")
    application__has_document_8: dt.Boolean = d.flag("Document 8 was handed in")
    application__has_document_9: dt.Boolean = d.flag("Document 9 was handed in")
    application__has_document_10: dt.Boolean = d.flag("Document 10 was handed in")
    application__has_document_11: dt.Boolean = d.flag("Document 11 was handed in")
    application__has_document_12: dt.Boolean = d.flag("Document 12 was handed in")
    application__has_document_13: dt.Boolean = d.flag("Document 13 was handed in")
    application__has_document_14: dt.Boolean = d.flag("Document 14 was handed in")
    application__has_document_15: dt.Boolean = d.flag("Document 15 was handed in")
    application__has_document_16: dt.Boolean = d.flag("Document 16 was handed in")
    application__has_document_17: dt.Boolean = d.flag("Document 17 was handed in")
    application__has_document_18: dt.Boolean = d.flag("Document 18 was handed in")
    application__has_document_19: dt.Boolean = d.flag("Document 19 was handed in")
    application__has_document_20: dt.Boolean = d.flag("Document 20 was handed in")
    application__has_document_21: dt.Boolean = d.flag("Document 21 was handed in")
    application__is_without_employment: dt.Boolean = d.flag(
        "Not employed: the feed gives 365243 days (pensioners, unemployed)", nullable=False
    )
    application__has_ext_1_score: dt.Boolean = d.flag("External score 1 is known", nullable=False)
    application__has_ext_2_score: dt.Boolean = d.flag("External score 2 is known", nullable=False)
    application__has_ext_3_score: dt.Boolean = d.flag("External score 3 is known", nullable=False)
    application__has_car_age: dt.Boolean = d.flag("The age of the car is known", nullable=False)
    application__circle_observed_30d_count: dt.Int64 = d.count(
        "People in the social circle observed for 30 days past due"
    )
    application__circle_default_30d_count: dt.Int64 = d.count("People in the social circle 30 days past due")
    application__circle_observed_60d_count: dt.Int64 = d.count(
        "People in the social circle observed for 60 days past due"
    )
    application__circle_default_60d_count: dt.Int64 = d.count("People in the social circle 60 days past due")
    application__enquiries_hour_count: dt.Int64 = d.count("Bureau enquiries about the applicant in the last hour")
    application__enquiries_day_count: dt.Int64 = d.count(
        "Bureau enquiries about the applicant in the last day without the last hour"
    )
    application__enquiries_week_count: dt.Int64 = d.count(
        "Bureau enquiries about the applicant in the last week without the last day"
    )
    application__enquiries_month_count: dt.Int64 = d.count(
        "Bureau enquiries about the applicant in the last month without the last week"
    )
    application__enquiries_quarter_count: dt.Int64 = d.count(
        "Bureau enquiries about the applicant in the last quarter without the last month"
    )
    application__enquiries_year_count: dt.Int64 = d.count(
        "Bureau enquiries about the applicant in the last year without the last quarter"
    )
    application__enquiries_count: dt.Int64 = d.count("Bureau enquiries about the applicant in the last year")
    application__documents_count: dt.Int64 = d.count("Documents handed in", maximum=20)
    application__contacts_count: dt.Int64 = d.count("Ways of contact given", maximum=6)
    application__mismatches_count: dt.Int64 = d.count("Pairs of addresses that differ", maximum=6)
    application__ext_missing_count: dt.Int64 = d.count("External scores that are missing", maximum=3, nullable=False)
    application__building_missing_count: dt.Int64 = d.count(
        "Columns about the building that are missing", maximum=47, nullable=False
    )
    application__missing_count: dt.Int64 = d.count(
        "Nullable columns of the application that are missing", maximum=67, nullable=False
    )
    application__contract_type_category: dt.String = d.category("Kind of loan applied for")
    application__gender_category: dt.String = d.category("Gender")
    application__company_category: dt.String = d.category("Who came along when applying")
    application__income_type_category: dt.String = d.category("Source of income")
    application__education_category: dt.String = d.category("Highest education")
    application__family_status_category: dt.String = d.category("Family status")
    application__housing_category: dt.String = d.category("Housing situation")
    application__occupation_category: dt.String = d.category("Occupation")
    application__organization_category: dt.String = d.category("Kind of employer")
    application__process_start_weekday_category: dt.String = d.category("Weekday on which the application was started")
    application__building_fund_category: dt.String = d.category("Building: account of the repair fund")
    application__building_type_category: dt.String = d.category("Building: kind of house")
    application__building_walls_category: dt.String = d.category("Building: material of the walls")
    application__building_emergency_category: dt.String = d.category("Building: in emergency state")
    application__annuity_credit_ratio: dt.Float64 = d.ratio("Instalment per loan amount (payment rate)")
    application__credit_income_ratio: dt.Float64 = d.ratio("Loan amount per yearly income")
    application__annuity_income_ratio: dt.Float64 = d.ratio("Instalment per yearly income")
    application__goods_credit_ratio: dt.Float64 = d.ratio("Price of the goods per loan amount")
    application__goods_income_ratio: dt.Float64 = d.ratio("Price of the goods per yearly income")
    application__credit_less_goods_amt: dt.Float64 = d.amount("Loan amount beyond the price of the goods", minimum=None)
    application__income_per_member_amt: dt.Float64 = d.amount("Yearly income per family member")
    application__income_per_dependant_amt: dt.Float64 = d.amount("Yearly income per child and applicant")
    application__income_less_annuity_amt: dt.Float64 = d.amount("Yearly income less one instalment", minimum=None)
    application__children_member_ratio: dt.Float64 = d.ratio("Children per family member")
    application__employed_age_ratio: dt.Float64 = d.ratio("Share of life spent in the current job")
    application__registration_age_ratio: dt.Float64 = d.ratio("Share of life since the registration was changed")
    application__id_publish_age_ratio: dt.Float64 = d.ratio("Share of life since the identity document was changed")
    application__phone_change_age_ratio: dt.Float64 = d.ratio("Share of life since the phone was changed")
    application__car_age_age_ratio: dt.Float64 = d.ratio(
        "Age of the car per age of the applicant, both in days (a year of the car being 365)"
    )
    application__car_age_employed_ratio: dt.Float64 = d.ratio(
        "Age of the car per time in the current job, both in days (a year of the car being 365)"
    )
    application__phone_change_employed_ratio: dt.Float64 = d.ratio(
        "Time since the phone was changed per time in the current job"
    )
    application__income_employed_ratio: dt.Float64 = d.ratio("Yearly income per day in the current job")
    application__id_publish_registration_ratio: dt.Float64 = d.ratio(
        "Time since the identity document per time since the registration was changed"
    )
    application__enquiries_quarter_share: dt.Float64 = d.share(
        "Share of the last year of bureau enquiries that fell into its last quarter, the last month included"
    )
    application__circle_default_30d_ratio: dt.Float64 = d.ratio("Default rate of the social circle, 30 days past due")
    application__circle_default_60d_ratio: dt.Float64 = d.ratio("Default rate of the social circle, 60 days past due")
    application__ext_score_mean: dt.Float64 = d.score("Mean of the known external scores")
    application__ext_score_weighted_mean: dt.Float64 = d.score(
        "Mean of the known external scores, weighted 19 : 21 : 26"
    )
    application__ext_score_min: dt.Float64 = d.score("Lowest known external score")
    application__ext_score_max: dt.Float64 = d.score("Highest known external score")
    application__ext_score_range: dt.Float64 = d.score("Highest less lowest known external score")
    application__ext_score_product: dt.Float64 = d.score("Product of the external scores; NULL unless all are known")
    application__ext_2_3_score_product: dt.Float64 = d.score(
        "Product of external scores 2 and 3; NULL unless both are known"
    )
    application__credit_annuity_ext_3_ratio: dt.Float64 = d.ratio("Implied term per external score 3")
    application__annuity_income_ext_2_ratio: dt.Float64 = d.ratio("Instalment per yearly income, per external score 2")
    application__ext_score_std: dt.Float64 = d.score(
        "Standard deviation (n - 1) of the known external scores; NULL when fewer than two are known"
    )
    application__ext_score_median: dt.Float64 = d.score("Median of the known external scores")
    application__ext_1_2_score_product: dt.Float64 = d.score(
        "Product of external scores 1 and 2; NULL unless both are known"
    )
    application__ext_1_3_score_product: dt.Float64 = d.score(
        "Product of external scores 1 and 3; NULL unless both are known"
    )
    application__ext_1_2_score_difference: dt.Float64 = d.score("External score 1 less external score 2", minimum=-1)
    application__ext_1_3_score_difference: dt.Float64 = d.score("External score 1 less external score 3", minimum=-1)
    application__ext_2_3_score_difference: dt.Float64 = d.score("External score 2 less external score 3", minimum=-1)
    application__ext_1_age_days: dt.Float64 = d.days("Age of the applicant times external score 1")
    application__ext_2_age_days: dt.Float64 = d.days("Age of the applicant times external score 2")
    application__ext_3_age_days: dt.Float64 = d.days("Age of the applicant times external score 3")
    application__ext_mean_age_days: dt.Float64 = d.days(
        "Age of the applicant times the mean of the known external scores"
    )
    application__ext_1_employed_days: dt.Float64 = d.days("Days in the current job times external score 1")
    application__ext_2_employed_days: dt.Float64 = d.days("Days in the current job times external score 2")
    application__ext_3_employed_days: dt.Float64 = d.days("Days in the current job times external score 3")
    application__ext_mean_employed_days: dt.Float64 = d.days(
        "Days in the current job times the mean of the known external scores"
    )
    application__age_per_ext_3_days: dt.Float64 = d.days("Age of the applicant per external score 3")
    application__employed_per_ext_3_days: dt.Float64 = d.days("Days in the current job per external score 3")
    application__credit_annuity_ext_1_ratio: dt.Float64 = d.ratio("Loan amount per instalment, per external score 1")
    application__credit_annuity_ext_2_ratio: dt.Float64 = d.ratio("Loan amount per instalment, per external score 2")
    application__credit_annuity_ext_mean_ratio: dt.Float64 = d.ratio(
        "Loan amount per instalment, per the mean of the known external scores"
    )
    application__annuity_income_ext_1_ratio: dt.Float64 = d.ratio("Instalment per yearly income, per external score 1")
    application__annuity_income_ext_3_ratio: dt.Float64 = d.ratio("Instalment per yearly income, per external score 3")
    application__annuity_income_ext_mean_ratio: dt.Float64 = d.ratio(
        "Instalment per yearly income, per the mean of the known external scores"
    )
    application__credit_income_ext_1_ratio: dt.Float64 = d.ratio("Loan amount per yearly income, per external score 1")
    application__credit_income_ext_2_ratio: dt.Float64 = d.ratio("Loan amount per yearly income, per external score 2")
    application__credit_income_ext_3_ratio: dt.Float64 = d.ratio("Loan amount per yearly income, per external score 3")
    application__credit_income_ext_mean_ratio: dt.Float64 = d.ratio(
        "Loan amount per yearly income, per the mean of the known external scores"
    )
    application__goods_credit_ext_mean_ratio: dt.Float64 = d.ratio(
        "Price of the goods per loan amount, per the mean of the known external scores"
    )
    application__annuity_credit_times_ext_mean_ratio: dt.Float64 = d.ratio(
        "Instalment per loan amount, times the mean of the known external scores"
    )
    application__credit_annuity_ratio: dt.Float64 = d.ratio(
        "Loan amount per instalment: the term it would have without interest"
    )
    application__goods_annuity_ratio: dt.Float64 = d.ratio("Price of the goods per instalment")
    application__credit_less_goods_income_ratio: dt.Float64 = d.ratio(
        "Loan amount beyond the price of the goods per yearly income", minimum=None
    )
    application__credit_less_goods_annuity_ratio: dt.Float64 = d.ratio(
        "Loan amount beyond the price of the goods per instalment", minimum=None
    )
    application__credit_per_member_amt: dt.Float64 = d.amount("Loan amount per family member")
    application__annuity_per_member_amt: dt.Float64 = d.amount("Instalment per family member")
    application__annuity_member_income_ratio: dt.Float64 = d.ratio(
        "Instalment per a family member's part of the yearly income; NULL without members"
    )
    application__credit_member_income_ratio: dt.Float64 = d.ratio(
        "Loan amount per a family member's part of the yearly income; NULL without members"
    )
    application__income_less_annuity_per_member_amt: dt.Float64 = d.amount(
        "Yearly income less one instalment, per family member", minimum=None
    )
    application__credit_employed_ratio: dt.Float64 = d.ratio("Loan amount per day in the current job")
    application__annuity_employed_ratio: dt.Float64 = d.ratio("Instalment per day in the current job")
    application__credit_age_ratio: dt.Float64 = d.ratio("Loan amount per day of age")
    application__income_age_ratio: dt.Float64 = d.ratio("Yearly income per day of age")
    application__age_less_employed_days: dt.Int64 = d.days("Age at the start of the current job", minimum=None)
    application__employed_registration_ratio: dt.Float64 = d.ratio(
        "Time in the current job per time since the registration was changed"
    )
    application__employed_id_publish_ratio: dt.Float64 = d.ratio(
        "Time in the current job per time since the identity document was changed"
    )
    application__phone_change_id_publish_ratio: dt.Float64 = d.ratio(
        "Time since the phone per time since the identity document was changed"
    )
    application__registration_less_id_publish_days: dt.Int64 = d.days(
        "Days from the change of the registration to that of the identity document", minimum=None
    )
    application__income_region_population_amt: dt.Float64 = d.amount(
        "Yearly income times the normalised population of the region"
    )
    application__adults_count: dt.Int64 = d.count("Family members who are not children", minimum=None)
    application__shortest_term_months: dt.Int64 = d.months(
        "Shortest plausible term: of 6, 12, … 60 months the first at a simple yearly rate of 8.5 % or more, and up to 100 %",
        minimum=6,
        maximum=60,
    )
    application__plausible_terms_count: dt.Int64 = d.count(
        "Terms of 6, 12, … 60 months at which the simple yearly rate is from 8.5 % to 100 %; NULL if there is none",
        maximum=10,
        minimum=1,
    )
    application__simple_rate_ratio_min: dt.Float64 = d.ratio(
        "Simple yearly rate, 24 × cost / (amount × (term + 1)), at the shortest plausible term"
    )
    application__simple_rate_ratio_max: dt.Float64 = d.ratio("Simple yearly rate at the longest plausible term")
    application__simple_rate_ratio_mean: dt.Float64 = d.ratio("Mean of the simple yearly rates at the plausible terms")
    application__monthly_rate_ratio_min: dt.Float64 = d.ratio(
        "Monthly rate at which the instalments repay the loan in the shortest plausible term, to 1/10000 of it"
    )
    application__interest_amt_min: dt.Float64 = d.amount(
        "Instalments of the shortest plausible term less the loan amount"
    )
    application__interest_income_ratio_min: dt.Float64 = d.ratio(
        "Instalments of the shortest plausible term less the loan amount, per yearly income"
    )
    application__phones_count: dt.Int64 = d.count("Phone numbers given: of the employer, at work, at home", maximum=3)
    application__region_mismatches_count: dt.Int64 = d.count("Pairs of addresses in different regions", maximum=3)
    application__city_mismatches_count: dt.Int64 = d.count("Pairs of addresses in different cities", maximum=3)
    application__enquiries_last_month_count: dt.Int64 = d.count(
        "Bureau enquiries about the applicant in the last month"
    )
    application__circle_default_count: dt.Int64 = d.count(
        "People in the social circle 30 days past due, and those 60 days past due"
    )
    application__building_avg_missing_count: dt.Int64 = d.count(
        "Averages about the building that are missing", maximum=14, nullable=False
    )
    application__building_facts_missing_count: dt.Int64 = d.count(
        "Facts about the building that are missing: fund, kind, total area, walls, emergency", maximum=5, nullable=False
    )
    application__loan_missing_count: dt.Int64 = d.count(
        "Columns about the loan that are missing: instalment, price of the goods, company", maximum=3, nullable=False
    )
    application__person_missing_count: dt.Int64 = d.count(
        "Columns about the person that are missing: car age, occupation, family members, phone change",
        maximum=4,
        nullable=False,
    )
    application__circle_missing_count: dt.Int64 = d.count(
        "Columns about the social circle that are missing", maximum=4, nullable=False
    )
    application__enquiries_missing_count: dt.Int64 = d.count(
        "Columns about bureau enquiries that are missing", maximum=6, nullable=False
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr",)


CONTRACT = TableContract(table="application", layer="features", model=Application)
