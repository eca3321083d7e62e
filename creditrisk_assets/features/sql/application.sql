-- family: application | grain: one row per sk_id_curr | owner: team:credit-features
-- inputs: application | known at: application day
with cleaned as (                 -- ages made positive, the sentinel of "not employed" made NULL, amounts as double
    select
        sk_id_curr, amt_income_total, amt_credit, amt_annuity, amt_goods_price, own_car_age, cnt_children,
        cnt_fam_members, region_population_relative, region_rating_client, region_rating_client_w_city,
        hour_appr_process_start, ext_source_1, ext_source_2, ext_source_3, apartments_avg, basementarea_avg,
        years_beginexpluatation_avg, years_build_avg, commonarea_avg, elevators_avg, entrances_avg,
        floorsmax_avg, floorsmin_avg, landarea_avg, livingapartments_avg, livingarea_avg,
        nonlivingapartments_avg, nonlivingarea_avg, totalarea_mode, flag_own_car, flag_own_realty, flag_mobil,
        flag_emp_phone, flag_work_phone, flag_cont_mobile, flag_phone, flag_email, reg_region_not_live_region,
        reg_region_not_work_region, live_region_not_work_region, reg_city_not_live_city, reg_city_not_work_city,
        live_city_not_work_city, flag_document_2, flag_document_3, flag_document_4, flag_document_5,
        flag_document_6, flag_document_7, flag_document_8, flag_document_9, flag_document_10, flag_document_11,
        flag_document_12, flag_document_13, flag_document_14, flag_document_15, flag_document_16,
        flag_document_17, flag_document_18, flag_document_19, flag_document_20, flag_document_21, days_employed,
        obs_30_cnt_social_circle, def_30_cnt_social_circle, obs_60_cnt_social_circle, def_60_cnt_social_circle,
        amt_req_credit_bureau_hour, amt_req_credit_bureau_day, amt_req_credit_bureau_week,
        amt_req_credit_bureau_mon, amt_req_credit_bureau_qrt, amt_req_credit_bureau_year, name_contract_type,
        code_gender, name_type_suite, name_income_type, name_education_type, name_family_status,
        name_housing_type, occupation_type, organization_type, weekday_appr_process_start, fondkapremont_mode,
        housetype_mode, wallsmaterial_mode, emergencystate_mode,
        cast(-days_birth as bigint) as age_days,
        cast(case when days_employed <> 365243 then -days_employed end as bigint) as employed_days,
        cast(round(-days_registration) as bigint) as registration_days,
        cast(-days_id_publish as bigint) as id_publish_days,
        cast(round(-days_last_phone_change) as bigint) as phone_change_days,
        cast(amt_income_total as double) as income,
        cast(amt_credit as double) as credit,
        cast(amt_annuity as double) as annuity,
        cast(amt_goods_price as double) as goods,
        cast(region_population_relative as double) as region_population,
        cast(ext_source_1 as double) as ext_1,
        cast(ext_source_2 as double) as ext_2,
        cast(ext_source_3 as double) as ext_3,
        case when ext_source_1 is null then 1 else 0 end + case when ext_source_2 is null then 1 else 0 end
            + case when ext_source_3 is null then 1 else 0 end as ext_missing,
        case when apartments_avg is null then 1 else 0 end + case when basementarea_avg is null then 1 else 0 end
            + case when years_beginexpluatation_avg is null then 1 else 0 end
            + case when years_build_avg is null then 1 else 0 end + case when commonarea_avg is null then 1 else 0 end
            + case when elevators_avg is null then 1 else 0 end + case when entrances_avg is null then 1 else 0 end
            + case when floorsmax_avg is null then 1 else 0 end + case when floorsmin_avg is null then 1 else 0 end
            + case when landarea_avg is null then 1 else 0 end + case when livingapartments_avg is null then 1 else 0 end
            + case when livingarea_avg is null then 1 else 0 end + case when nonlivingapartments_avg is null then 1 else 0 end
            + case when nonlivingarea_avg is null then 1 else 0 end as building_avg_missing,
        case when apartments_mode is null then 1 else 0 end + case when basementarea_mode is null then 1 else 0 end
            + case when years_beginexpluatation_mode is null then 1 else 0 end
            + case when years_build_mode is null then 1 else 0 end + case when commonarea_mode is null then 1 else 0 end
            + case when elevators_mode is null then 1 else 0 end + case when entrances_mode is null then 1 else 0 end
            + case when floorsmax_mode is null then 1 else 0 end + case when floorsmin_mode is null then 1 else 0 end
            + case when landarea_mode is null then 1 else 0 end + case when livingapartments_mode is null then 1 else 0 end
            + case when livingarea_mode is null then 1 else 0 end + case when nonlivingapartments_mode is null then 1 else 0 end
            + case when nonlivingarea_mode is null then 1 else 0 end as building_mode_missing,
        case when apartments_medi is null then 1 else 0 end + case when basementarea_medi is null then 1 else 0 end
            + case when years_beginexpluatation_medi is null then 1 else 0 end
            + case when years_build_medi is null then 1 else 0 end + case when commonarea_medi is null then 1 else 0 end
            + case when elevators_medi is null then 1 else 0 end + case when entrances_medi is null then 1 else 0 end
            + case when floorsmax_medi is null then 1 else 0 end + case when floorsmin_medi is null then 1 else 0 end
            + case when landarea_medi is null then 1 else 0 end + case when livingapartments_medi is null then 1 else 0 end
            + case when livingarea_medi is null then 1 else 0 end + case when nonlivingapartments_medi is null then 1 else 0 end
            + case when nonlivingarea_medi is null then 1 else 0 end as building_medi_missing,
        case when fondkapremont_mode is null then 1 else 0 end + case when housetype_mode is null then 1 else 0 end
            + case when totalarea_mode is null then 1 else 0 end + case when wallsmaterial_mode is null then 1 else 0 end
            + case when emergencystate_mode is null then 1 else 0 end as building_facts_missing,
        case when amt_annuity is null then 1 else 0 end + case when amt_goods_price is null then 1 else 0 end
            + case when name_type_suite is null then 1 else 0 end as loan_missing,
        case when own_car_age is null then 1 else 0 end + case when occupation_type is null then 1 else 0 end
            + case when cnt_fam_members is null then 1 else 0 end
            + case when days_last_phone_change is null then 1 else 0 end as person_missing,
        case when obs_30_cnt_social_circle is null then 1 else 0 end
            + case when def_30_cnt_social_circle is null then 1 else 0 end
            + case when obs_60_cnt_social_circle is null then 1 else 0 end
            + case when def_60_cnt_social_circle is null then 1 else 0 end as circle_missing,
        case when amt_req_credit_bureau_hour is null then 1 else 0 end
            + case when amt_req_credit_bureau_day is null then 1 else 0 end
            + case when amt_req_credit_bureau_week is null then 1 else 0 end
            + case when amt_req_credit_bureau_mon is null then 1 else 0 end
            + case when amt_req_credit_bureau_qrt is null then 1 else 0 end
            + case when amt_req_credit_bureau_year is null then 1 else 0 end as enquiries_missing,
        -- The term is not fed. Of 6, 12, … 60 instalments the plausible ones are those at which the simple yearly rate, 24 · cost /
        -- (amount · (term + 1)), is between 8.5 % and 100 %; as it rises with the term, they lie between the shortest and the longest.
        cast(case when amt_credit > 0 then case
            when 24 * (6 * amt_annuity - amt_credit) >= 85e-3 * 7 * amt_credit then
                case when 24 * (6 * amt_annuity - amt_credit) <= 7 * amt_credit then 6 end
            when 24 * (12 * amt_annuity - amt_credit) >= 85e-3 * 13 * amt_credit then
                case when 24 * (12 * amt_annuity - amt_credit) <= 13 * amt_credit then 12 end
            when 24 * (18 * amt_annuity - amt_credit) >= 85e-3 * 19 * amt_credit then
                case when 24 * (18 * amt_annuity - amt_credit) <= 19 * amt_credit then 18 end
            when 24 * (24 * amt_annuity - amt_credit) >= 85e-3 * 25 * amt_credit then
                case when 24 * (24 * amt_annuity - amt_credit) <= 25 * amt_credit then 24 end
            when 24 * (30 * amt_annuity - amt_credit) >= 85e-3 * 31 * amt_credit then
                case when 24 * (30 * amt_annuity - amt_credit) <= 31 * amt_credit then 30 end
            when 24 * (36 * amt_annuity - amt_credit) >= 85e-3 * 37 * amt_credit then
                case when 24 * (36 * amt_annuity - amt_credit) <= 37 * amt_credit then 36 end
            when 24 * (42 * amt_annuity - amt_credit) >= 85e-3 * 43 * amt_credit then
                case when 24 * (42 * amt_annuity - amt_credit) <= 43 * amt_credit then 42 end
            when 24 * (48 * amt_annuity - amt_credit) >= 85e-3 * 49 * amt_credit then
                case when 24 * (48 * amt_annuity - amt_credit) <= 49 * amt_credit then 48 end
            when 24 * (54 * amt_annuity - amt_credit) >= 85e-3 * 55 * amt_credit then
                case when 24 * (54 * amt_annuity - amt_credit) <= 55 * amt_credit then 54 end
            when 24 * (60 * amt_annuity - amt_credit) >= 85e-3 * 61 * amt_credit then
                case when 24 * (60 * amt_annuity - amt_credit) <= 61 * amt_credit then 60 end
            end end as integer) as shortest_term,
        cast(case when amt_credit > 0 then case
            when 24 * (60 * amt_annuity - amt_credit) <= 61 * amt_credit then 60
            when 24 * (54 * amt_annuity - amt_credit) <= 55 * amt_credit then 54
            when 24 * (48 * amt_annuity - amt_credit) <= 49 * amt_credit then 48
            when 24 * (42 * amt_annuity - amt_credit) <= 43 * amt_credit then 42
            when 24 * (36 * amt_annuity - amt_credit) <= 37 * amt_credit then 36
            when 24 * (30 * amt_annuity - amt_credit) <= 31 * amt_credit then 30
            when 24 * (24 * amt_annuity - amt_credit) <= 25 * amt_credit then 24
            when 24 * (18 * amt_annuity - amt_credit) <= 19 * amt_credit then 18
            when 24 * (12 * amt_annuity - amt_credit) <= 13 * amt_credit then 12
            when 24 * (6 * amt_annuity - amt_credit) <= 7 * amt_credit then 6
            end end as integer) as longest_term,
        cast(amt_annuity as double) / nullif(cast(amt_credit as double), 0) as payment_rate
    from application
),
mixed as (                        -- scores mixed over the known ones; a start for the monthly rate at the shortest term
    select
        sk_id_curr, amt_income_total, amt_credit, amt_annuity, amt_goods_price, own_car_age, cnt_children,
        cnt_fam_members, region_population, region_rating_client, region_rating_client_w_city,
        hour_appr_process_start, ext_source_1, ext_source_2, ext_source_3, apartments_avg, basementarea_avg,
        years_beginexpluatation_avg, years_build_avg, commonarea_avg, elevators_avg, entrances_avg,
        floorsmax_avg, floorsmin_avg, landarea_avg, livingapartments_avg, livingarea_avg,
        nonlivingapartments_avg, nonlivingarea_avg, totalarea_mode, flag_own_car, flag_own_realty, flag_mobil,
        flag_emp_phone, flag_work_phone, flag_cont_mobile, flag_phone, flag_email, reg_region_not_live_region,
        reg_region_not_work_region, live_region_not_work_region, reg_city_not_live_city, reg_city_not_work_city,
        live_city_not_work_city, flag_document_2, flag_document_3, flag_document_4, flag_document_5,
        flag_document_6, flag_document_7, flag_document_8, flag_document_9, flag_document_10, flag_document_11,
        flag_document_12, flag_document_13, flag_document_14, flag_document_15, flag_document_16,
        flag_document_17, flag_document_18, flag_document_19, flag_document_20, flag_document_21, days_employed,
        obs_30_cnt_social_circle, def_30_cnt_social_circle, obs_60_cnt_social_circle, def_60_cnt_social_circle,
        amt_req_credit_bureau_hour, amt_req_credit_bureau_day, amt_req_credit_bureau_week,
        amt_req_credit_bureau_mon, amt_req_credit_bureau_qrt, amt_req_credit_bureau_year, name_contract_type,
        code_gender, name_type_suite, name_income_type, name_education_type, name_family_status,
        name_housing_type, occupation_type, organization_type, weekday_appr_process_start, fondkapremont_mode,
        housetype_mode, wallsmaterial_mode, emergencystate_mode, age_days, employed_days, registration_days,
        id_publish_days, phone_change_days, income, credit, annuity, goods, ext_1, ext_2, ext_3, ext_missing,
        building_avg_missing, building_mode_missing, building_medi_missing, building_facts_missing,
        loan_missing, person_missing, circle_missing, enquiries_missing, shortest_term, longest_term,
        payment_rate,
        (coalesce(ext_1, 0) + coalesce(ext_2, 0) + coalesce(ext_3, 0)) / nullif(3 - ext_missing, 0) as
            ext_mean,
        (coalesce(19 * ext_1, 0) + coalesce(21 * ext_2, 0) + coalesce(26 * ext_3, 0))
            / nullif(case when ext_1 is null then 0 else 19 end + case when ext_2 is null then 0 else 21 end
                + case when ext_3 is null then 0 else 26 end, 0) as ext_weighted_mean,
        least(ext_1, ext_2, ext_3) as ext_min,
        greatest(ext_1, ext_2, ext_3) as ext_max,
        -- Baily's approximation, within a hundredth of it; one Newton step in the final select leaves less than 1/10000
        (power(shortest_term * payment_rate, 2e0 / nullif(shortest_term + 1, 0)) - 1)
            * (12 - (shortest_term - 1) * (power(shortest_term * payment_rate, 2e0 / nullif(shortest_term + 1, 0)) - 1))
            / nullif(12 - 2 * (shortest_term - 1) * (power(shortest_term * payment_rate, 2e0 / nullif(shortest_term + 1, 0)) - 1), 0)
            as rate_start
    from cleaned
)
select
    sk_id_curr,
    cast(amt_income_total as double) as application__income_amt,
    cast(amt_credit as double) as application__credit_amt,
    cast(amt_annuity as double) as application__annuity_amt,
    cast(amt_goods_price as double) as application__goods_price_amt,
    age_days as application__age_days,
    employed_days as application__employed_days,
    registration_days as application__registration_days,
    id_publish_days as application__id_publish_days,
    phone_change_days as application__phone_change_days,
    cast(round(own_car_age * 12) as bigint) as application__car_age_months,
    cast(cnt_children as bigint) as application__children_count,
    cast(round(cnt_fam_members) as bigint) as application__family_members_count,
    region_population as application__region_population_ratio,
    cast(case when region_rating_client > 0 then region_rating_client end as bigint) as
        application__region_rating_level,
    cast(case when region_rating_client_w_city > 0 then region_rating_client_w_city end as bigint) as
        application__city_rating_level,
    cast(hour_appr_process_start as bigint) as application__process_start_hours,
    cast(ext_source_1 as double) as application__ext_1_score,
    cast(ext_source_2 as double) as application__ext_2_score,
    cast(ext_source_3 as double) as application__ext_3_score,
    cast(apartments_avg as double) as application__building_apartments_score_avg,
    cast(basementarea_avg as double) as application__building_basement_area_score_avg,
    cast(years_beginexpluatation_avg as double) as application__building_years_in_use_score_avg,
    cast(years_build_avg as double) as application__building_years_build_score_avg,
    cast(commonarea_avg as double) as application__building_common_area_score_avg,
    cast(elevators_avg as double) as application__building_elevators_score_avg,
    cast(entrances_avg as double) as application__building_entrances_score_avg,
    cast(floorsmax_avg as double) as application__building_floors_max_score_avg,
    cast(floorsmin_avg as double) as application__building_floors_min_score_avg,
    cast(landarea_avg as double) as application__building_land_area_score_avg,
    cast(livingapartments_avg as double) as application__building_living_apartments_score_avg,
    cast(livingarea_avg as double) as application__building_living_area_score_avg,
    cast(nonlivingapartments_avg as double) as application__building_nonliving_apartments_score_avg,
    cast(nonlivingarea_avg as double) as application__building_nonliving_area_score_avg,
    cast(totalarea_mode as double) as application__building_total_area_score,
    case flag_own_car when 'Y' then true when 'N' then false end as application__has_car,
    case flag_own_realty when 'Y' then true when 'N' then false end as application__has_realty,
    case flag_mobil when 1 then true when 0 then false end as application__has_mobile,
    case flag_emp_phone when 1 then true when 0 then false end as application__has_employer_phone,
    case flag_work_phone when 1 then true when 0 then false end as application__has_work_phone,
    case flag_cont_mobile when 1 then true when 0 then false end as application__has_reachable_mobile,
    case flag_phone when 1 then true when 0 then false end as application__has_home_phone,
    case flag_email when 1 then true when 0 then false end as application__has_email,
    case reg_region_not_live_region when 1 then true when 0 then false end as
        application__is_reg_region_not_live_region,
    case reg_region_not_work_region when 1 then true when 0 then false end as
        application__is_reg_region_not_work_region,
    case live_region_not_work_region when 1 then true when 0 then false end as
        application__is_live_region_not_work_region,
    case reg_city_not_live_city when 1 then true when 0 then false end as application__is_reg_city_not_live_city,
    case reg_city_not_work_city when 1 then true when 0 then false end as application__is_reg_city_not_work_city,
    case live_city_not_work_city when 1 then true when 0 then false end as application__is_live_city_not_work_city,
    case flag_document_2 when 1 then true when 0 then false end as application__has_document_2,
    case flag_document_3 when 1 then true when 0 then false end as application__has_document_3,
    case flag_document_4 when 1 then true when 0 then false end as application__has_document_4,
    case flag_document_5 when 1 then true when 0 then false end as application__has_document_5,
    case flag_document_6 when 1 then true when 0 then false end as application__has_document_6,
    case flag_document_7 when 1 then true when 0 then false end as application__has_document_7,
    case flag_document_8 when 1 then true when 0 then false end as application__has_document_8,
    case flag_document_9 when 1 then true when 0 then false end as application__has_document_9,
    case flag_document_10 when 1 then true when 0 then false end as application__has_document_10,
    case flag_document_11 when 1 then true when 0 then false end as application__has_document_11,
    case flag_document_12 when 1 then true when 0 then false end as application__has_document_12,
    case flag_document_13 when 1 then true when 0 then false end as application__has_document_13,
    case flag_document_14 when 1 then true when 0 then false end as application__has_document_14,
    case flag_document_15 when 1 then true when 0 then false end as application__has_document_15,
    case flag_document_16 when 1 then true when 0 then false end as application__has_document_16,
    case flag_document_17 when 1 then true when 0 then false end as application__has_document_17,
    case flag_document_18 when 1 then true when 0 then false end as application__has_document_18,
    case flag_document_19 when 1 then true when 0 then false end as application__has_document_19,
    case flag_document_20 when 1 then true when 0 then false end as application__has_document_20,
    case flag_document_21 when 1 then true when 0 then false end as application__has_document_21,
    days_employed = 365243 as application__is_without_employment,
    ext_source_1 is not null as application__has_ext_1_score,
    ext_source_2 is not null as application__has_ext_2_score,
    ext_source_3 is not null as application__has_ext_3_score,
    own_car_age is not null as application__has_car_age,
    cast(round(obs_30_cnt_social_circle) as bigint) as application__circle_observed_30d_count,
    cast(round(def_30_cnt_social_circle) as bigint) as application__circle_default_30d_count,
    cast(round(obs_60_cnt_social_circle) as bigint) as application__circle_observed_60d_count,
    cast(round(def_60_cnt_social_circle) as bigint) as application__circle_default_60d_count,
    cast(round(amt_req_credit_bureau_hour) as bigint) as application__enquiries_hour_count,
    cast(round(amt_req_credit_bureau_day) as bigint) as application__enquiries_day_count,
    cast(round(amt_req_credit_bureau_week) as bigint) as application__enquiries_week_count,
    cast(round(amt_req_credit_bureau_mon) as bigint) as application__enquiries_month_count,
    cast(round(amt_req_credit_bureau_qrt) as bigint) as application__enquiries_quarter_count,
    cast(round(amt_req_credit_bureau_year) as bigint) as application__enquiries_year_count,
    cast(round(amt_req_credit_bureau_hour + amt_req_credit_bureau_day + amt_req_credit_bureau_week +
        amt_req_credit_bureau_mon + amt_req_credit_bureau_qrt + amt_req_credit_bureau_year) as bigint) as
        application__enquiries_count,
    cast(flag_document_2 + flag_document_3 + flag_document_4 + flag_document_5 + flag_document_6 +
        flag_document_7 + flag_document_8 + flag_document_9 + flag_document_10 + flag_document_11 +
        flag_document_12 + flag_document_13 + flag_document_14 + flag_document_15 + flag_document_16 +
        flag_document_17 + flag_document_18 + flag_document_19 + flag_document_20 + flag_document_21 as
        bigint) as application__documents_count,
    cast(flag_mobil + flag_emp_phone + flag_work_phone + flag_cont_mobile + flag_phone + flag_email as bigint)
        as application__contacts_count,
    cast(reg_region_not_live_region + reg_region_not_work_region + live_region_not_work_region +
        reg_city_not_live_city + reg_city_not_work_city + live_city_not_work_city as bigint) as
        application__mismatches_count,
    ext_missing as application__ext_missing_count,
    building_avg_missing + building_mode_missing + building_medi_missing + building_facts_missing as application__building_missing_count,
    ext_missing + building_avg_missing + building_mode_missing + building_medi_missing + building_facts_missing + loan_missing
        + person_missing + circle_missing + enquiries_missing as application__missing_count,
    name_contract_type as application__contract_type_category,
    code_gender as application__gender_category,
    name_type_suite as application__company_category,
    name_income_type as application__income_type_category,
    name_education_type as application__education_category,
    name_family_status as application__family_status_category,
    name_housing_type as application__housing_category,
    occupation_type as application__occupation_category,
    organization_type as application__organization_category,
    weekday_appr_process_start as application__process_start_weekday_category,
    fondkapremont_mode as application__building_fund_category,
    housetype_mode as application__building_type_category,
    wallsmaterial_mode as application__building_walls_category,
    emergencystate_mode as application__building_emergency_category,
    payment_rate as application__annuity_credit_ratio,
    credit / nullif(income, 0) as application__credit_income_ratio,
    annuity / nullif(income, 0) as application__annuity_income_ratio,
    goods / nullif(credit, 0) as application__goods_credit_ratio,
    goods / nullif(income, 0) as application__goods_income_ratio,
    credit - goods as application__credit_less_goods_amt,
    income / nullif(cnt_fam_members, 0) as application__income_per_member_amt,
    income / nullif(1 + cnt_children, 0) as application__income_per_dependant_amt,
    income - annuity as application__income_less_annuity_amt,
    cast(cnt_children as double) / nullif(cnt_fam_members, 0) as application__children_member_ratio,
    cast(employed_days as double) / nullif(age_days, 0) as application__employed_age_ratio,
    cast(registration_days as double) / nullif(age_days, 0) as application__registration_age_ratio,
    cast(id_publish_days as double) / nullif(age_days, 0) as application__id_publish_age_ratio,
    cast(phone_change_days as double) / nullif(age_days, 0) as application__phone_change_age_ratio,
    365 * cast(own_car_age as double) / nullif(age_days, 0) as application__car_age_age_ratio,
    365 * cast(own_car_age as double) / nullif(employed_days, 0) as application__car_age_employed_ratio,
    cast(phone_change_days as double) / nullif(employed_days, 0) as application__phone_change_employed_ratio,
    income / nullif(employed_days, 0) as application__income_employed_ratio,
    cast(id_publish_days as double) / nullif(registration_days, 0) as application__id_publish_registration_ratio,
    cast(amt_req_credit_bureau_hour + amt_req_credit_bureau_day + amt_req_credit_bureau_week +
        amt_req_credit_bureau_mon + amt_req_credit_bureau_qrt as double) / nullif(amt_req_credit_bureau_hour +
        amt_req_credit_bureau_day + amt_req_credit_bureau_week + amt_req_credit_bureau_mon +
        amt_req_credit_bureau_qrt + amt_req_credit_bureau_year, 0) as application__enquiries_quarter_share,
    cast(def_30_cnt_social_circle as double) / nullif(obs_30_cnt_social_circle, 0) as
        application__circle_default_30d_ratio,
    cast(def_60_cnt_social_circle as double) / nullif(obs_60_cnt_social_circle, 0) as
        application__circle_default_60d_ratio,
    ext_mean as application__ext_score_mean,
    ext_weighted_mean as application__ext_score_weighted_mean,
    ext_min as application__ext_score_min,
    ext_max as application__ext_score_max,
    ext_max - ext_min as application__ext_score_range,
    ext_1 * ext_2 * ext_3 as application__ext_score_product,
    ext_2 * ext_3 as application__ext_2_3_score_product,
    credit / nullif((annuity * ext_3), 0) as application__credit_annuity_ext_3_ratio,
    annuity / nullif((income * ext_2), 0) as application__annuity_income_ext_2_ratio,
    sqrt((coalesce((ext_1 - ext_mean) * (ext_1 - ext_mean), 0) + coalesce((ext_2 - ext_mean) * (ext_2 - ext_mean), 0)
        + coalesce((ext_3 - ext_mean) * (ext_3 - ext_mean), 0)) / nullif(case when ext_missing < 2 then 2 - ext_missing end, 0))
        as application__ext_score_std,
    case when ext_missing = 0 then case
            when (ext_1 - ext_2) * (ext_1 - ext_3) <= 0 then ext_1
            when (ext_2 - ext_1) * (ext_2 - ext_3) <= 0 then ext_2
            else ext_3 end
        else ext_mean end as application__ext_score_median,
    ext_1 * ext_2 as application__ext_1_2_score_product,
    ext_1 * ext_3 as application__ext_1_3_score_product,
    ext_1 - ext_2 as application__ext_1_2_score_difference,
    ext_1 - ext_3 as application__ext_1_3_score_difference,
    ext_2 - ext_3 as application__ext_2_3_score_difference,
    ext_1 * age_days as application__ext_1_age_days,
    ext_2 * age_days as application__ext_2_age_days,
    ext_3 * age_days as application__ext_3_age_days,
    ext_mean * age_days as application__ext_mean_age_days,
    ext_1 * employed_days as application__ext_1_employed_days,
    ext_2 * employed_days as application__ext_2_employed_days,
    ext_3 * employed_days as application__ext_3_employed_days,
    ext_mean * employed_days as application__ext_mean_employed_days,
    age_days / nullif(ext_3, 0) as application__age_per_ext_3_days,
    employed_days / nullif(ext_3, 0) as application__employed_per_ext_3_days,
    credit / nullif((annuity * ext_1), 0) as application__credit_annuity_ext_1_ratio,
    credit / nullif((annuity * ext_2), 0) as application__credit_annuity_ext_2_ratio,
    credit / nullif((annuity * ext_mean), 0) as application__credit_annuity_ext_mean_ratio,
    annuity / nullif((income * ext_1), 0) as application__annuity_income_ext_1_ratio,
    annuity / nullif((income * ext_3), 0) as application__annuity_income_ext_3_ratio,
    annuity / nullif((income * ext_mean), 0) as application__annuity_income_ext_mean_ratio,
    credit / nullif((income * ext_1), 0) as application__credit_income_ext_1_ratio,
    credit / nullif((income * ext_2), 0) as application__credit_income_ext_2_ratio,
    credit / nullif((income * ext_3), 0) as application__credit_income_ext_3_ratio,
    credit / nullif((income * ext_mean), 0) as application__credit_income_ext_mean_ratio,
    goods / nullif((credit * ext_mean), 0) as application__goods_credit_ext_mean_ratio,
    payment_rate * ext_mean as application__annuity_credit_times_ext_mean_ratio,
    credit / nullif(annuity, 0) as application__credit_annuity_ratio,
    goods / nullif(annuity, 0) as application__goods_annuity_ratio,
    (credit - goods) / nullif(income, 0) as application__credit_less_goods_income_ratio,
    (credit - goods) / nullif(annuity, 0) as application__credit_less_goods_annuity_ratio,
    credit / nullif(cnt_fam_members, 0) as application__credit_per_member_amt,
    annuity / nullif(cnt_fam_members, 0) as application__annuity_per_member_amt,
    annuity * nullif(cnt_fam_members, 0) / nullif(income, 0) as application__annuity_member_income_ratio,
    credit * nullif(cnt_fam_members, 0) / nullif(income, 0) as application__credit_member_income_ratio,
    (income - annuity) / nullif(cnt_fam_members, 0) as application__income_less_annuity_per_member_amt,
    credit / nullif(employed_days, 0) as application__credit_employed_ratio,
    annuity / nullif(employed_days, 0) as application__annuity_employed_ratio,
    credit / nullif(age_days, 0) as application__credit_age_ratio,
    income / nullif(age_days, 0) as application__income_age_ratio,
    age_days - employed_days as application__age_less_employed_days,
    cast(employed_days as double) / nullif(registration_days, 0) as application__employed_registration_ratio,
    cast(employed_days as double) / nullif(id_publish_days, 0) as application__employed_id_publish_ratio,
    cast(phone_change_days as double) / nullif(id_publish_days, 0) as application__phone_change_id_publish_ratio,
    registration_days - id_publish_days as application__registration_less_id_publish_days,
    income * region_population as application__income_region_population_amt,
    cast(round(cnt_fam_members) as bigint) - cast(cnt_children as bigint) as application__adults_count,
    cast(shortest_term as bigint) as application__shortest_term_months,
    cast(round((longest_term - shortest_term) / 6e0) as bigint) + 1 as application__plausible_terms_count,
    24 * (shortest_term * payment_rate - 1) / nullif(shortest_term + 1, 0) as application__simple_rate_ratio_min,
    case when shortest_term > 0 then 24 * (longest_term * payment_rate - 1) / nullif(longest_term + 1, 0) end
        as application__simple_rate_ratio_max,
    (case when 6 between shortest_term and longest_term then 24 * (6 * payment_rate - 1) / 7 else 0 end
            + case when 12 between shortest_term and longest_term then 24 * (12 * payment_rate - 1) / 13 else 0 end
            + case when 18 between shortest_term and longest_term then 24 * (18 * payment_rate - 1) / 19 else 0 end
            + case when 24 between shortest_term and longest_term then 24 * (24 * payment_rate - 1) / 25 else 0 end
            + case when 30 between shortest_term and longest_term then 24 * (30 * payment_rate - 1) / 31 else 0 end
            + case when 36 between shortest_term and longest_term then 24 * (36 * payment_rate - 1) / 37 else 0 end
            + case when 42 between shortest_term and longest_term then 24 * (42 * payment_rate - 1) / 43 else 0 end
            + case when 48 between shortest_term and longest_term then 24 * (48 * payment_rate - 1) / 49 else 0 end
            + case when 54 between shortest_term and longest_term then 24 * (54 * payment_rate - 1) / 55 else 0 end
            + case when 60 between shortest_term and longest_term then 24 * (60 * payment_rate - 1) / 61 else 0 end)
        / nullif(round((longest_term - shortest_term) / 6e0) + 1, 0) as application__simple_rate_ratio_mean,
    rate_start - (rate_start - payment_rate * (1 - power(1 + rate_start, -shortest_term)))
        / nullif(1 - payment_rate * shortest_term * power(1 + rate_start, -shortest_term) / nullif(1 + rate_start, 0), 0)
        as application__monthly_rate_ratio_min,
    shortest_term * annuity - credit as application__interest_amt_min,
    (shortest_term * annuity - credit) / nullif(income, 0) as application__interest_income_ratio_min,
    cast(flag_emp_phone + flag_work_phone + flag_phone as bigint) as application__phones_count,
    cast(reg_region_not_live_region + reg_region_not_work_region + live_region_not_work_region as bigint)
        as application__region_mismatches_count,
    cast(reg_city_not_live_city + reg_city_not_work_city + live_city_not_work_city as bigint) as application__city_mismatches_count,
    cast(round(amt_req_credit_bureau_hour + amt_req_credit_bureau_day + amt_req_credit_bureau_week +
        amt_req_credit_bureau_mon) as bigint) as application__enquiries_last_month_count,
    cast(round(def_30_cnt_social_circle + def_60_cnt_social_circle) as bigint) as application__circle_default_count,
    building_avg_missing as application__building_avg_missing_count,
    building_facts_missing as application__building_facts_missing_count,
    loan_missing as application__loan_missing_count,
    person_missing as application__person_missing_count,
    circle_missing as application__circle_missing_count,
    enquiries_missing as application__enquiries_missing_count
from mixed
