-- family: credit_card | grain: one row per sk_id_curr | owner: team:credit-features
-- inputs: credit_card_balance | known at: application day
with months as (                  -- one row per card and month: amounts exact, ratios rounded before they are summed
    select
        sk_id_curr,
        sk_id_prev,
        -months_balance as months_before,
        cast(amt_balance as decimal(18, 3)) as balance_amt,
        cast(amt_credit_limit_actual as decimal(18, 3)) as limit_amt,
        cast(amt_drawings_current as decimal(18, 3)) as drawn_amt,
        cast(amt_drawings_atm_current as decimal(18, 3)) as cash_amt,
        cast(amt_payment_total_current as decimal(18, 3)) as paid_amt,
        cast(amt_inst_min_regularity as decimal(18, 3)) as minimum_amt,
        cast(cnt_drawings_current as bigint) as drawings,
        cast(cnt_drawings_atm_current as bigint) as cash_drawings,
        cast(cnt_instalment_mature_cum as bigint) as matured,
        cast(sk_dpd as bigint) as dpd_days,
        cast(sk_dpd_def as bigint) as dpd_def_days,
        case when name_contract_status = 'Active' then 1 else 0 end as is_active,
        cast(round(1000000 * (cast(amt_balance as double) / nullif(cast(amt_credit_limit_actual as double), 0))) / 1000000 as decimal(18, 6))
            as utilisation,
        cast(round(1000000 * (cast(amt_drawings_atm_current as double) / nullif(cast(amt_credit_limit_actual as double), 0))) / 1000000
            as decimal(18, 6)) as cash_limit_ratio,
        -- paid per minimal instalment, at most ten times; NULL where none was due
        case when amt_inst_min_regularity > 0 then cast(round(1000000 * (
            case when amt_payment_total_current >= 10 * amt_inst_min_regularity then 10
                else cast(amt_payment_total_current as double) / nullif(cast(amt_inst_min_regularity as double), 0) end)) / 1000000
            as decimal(18, 6)) end as coverage
    from credit_card_balance
),
latest_months as (
    select sk_id_curr, -max(months_balance) as months_before
    from credit_card_balance
    group by sk_id_curr
),
latest as (                       -- the latest month of an applicant, all cards together
    select
        months.sk_id_curr,
        sum(months.balance_amt) as balance_amt,
        sum(months.limit_amt) as limit_amt,
        sum(months.minimum_amt) as minimum_amt,
        sum(months.is_active) as active
    from months
    inner join latest_months on months.sk_id_curr = latest_months.sk_id_curr and months.months_before = latest_months.months_before
    group by months.sk_id_curr
),
applicants as (
    select
        sk_id_curr,
        count(*) as months,
        count(distinct sk_id_prev) as cards,
        min(months_before) as months_before_min,
        max(months_before) as months_before_max,
        sum(is_active) as active_months,
        sum(utilisation) as utilisation,
        max(utilisation) as utilisation_max,
        count(utilisation) as utilisations,
        sum(case when months_before <= 3 then utilisation end) as utilisation_3m,
        count(case when months_before <= 3 then utilisation end) as utilisations_3m,
        sum(case when months_before <= 6 then utilisation end) as utilisation_6m,
        max(case when months_before <= 6 then utilisation end) as utilisation_max_6m,
        count(case when months_before <= 6 then utilisation end) as utilisations_6m,
        sum(case when months_before <= 12 then utilisation end) as utilisation_12m,
        max(case when months_before <= 12 then utilisation end) as utilisation_max_12m,
        count(case when months_before <= 12 then utilisation end) as utilisations_12m,
        sum(case when utilisation > 1 then 1 else 0 end) as over_limit,
        sum(coverage) as coverage,
        min(coverage) as coverage_min,
        count(coverage) as coverages,
        sum(case when coverage >= 1 then 1 else 0 end) as minimum_met,
        sum(case when months_before <= 12 and coverage >= 1 then 1 else 0 end) as minimum_met_12m,
        count(case when months_before <= 12 then coverage end) as coverages_12m,
        sum(case when dpd_days > 0 then 1 else 0 end) as dpd,
        sum(case when months_before <= 12 and dpd_days > 0 then 1 else 0 end) as dpd_12m,
        sum(case when dpd_def_days > 0 then 1 else 0 end) as dpd_def,
        sum(case when months_before <= 12 and dpd_def_days > 0 then 1 else 0 end) as dpd_def_12m,
        sum(case when months_before <= 12 then 1 else 0 end) as months_12m,
        max(dpd_days) as dpd_days_max,
        max(dpd_def_days) as dpd_def_days_max,
        max(case when months_before <= 12 then dpd_days end) as dpd_days_max_12m,
        min(case when dpd_days > 0 then months_before end) as dpd_months_before,
        sum(balance_amt) as balance_amt,
        max(balance_amt) as balance_amt_max,
        sum(case when months_before <= 6 then balance_amt end) as balance_amt_6m,
        sum(case when months_before <= 6 then 1 else 0 end) as months_6m,
        max(limit_amt) as limit_amt_max,
        min(case when limit_amt > 0 then limit_amt end) as limit_amt_min,
        sum(drawn_amt) as drawn_amt,
        sum(case when cash_amt is not null then drawn_amt end) as drawn_amt_split,     -- drawings of which the kind is known
        sum(cash_amt) as cash_amt,
        max(cash_amt) as cash_amt_max,
        sum(case when months_before <= 12 then drawn_amt end) as drawn_amt_12m,
        sum(case when months_before <= 12 and cash_amt is not null then drawn_amt end) as drawn_amt_split_12m,
        sum(case when months_before <= 12 then cash_amt end) as cash_amt_12m,
        sum(cash_limit_ratio) as cash_limit_ratio,
        max(cash_limit_ratio) as cash_limit_ratio_max,
        count(cash_limit_ratio) as cash_limit_ratios,
        sum(drawings) as drawings,
        sum(case when months_before <= 12 then drawings end) as drawings_12m,
        sum(cash_drawings) as cash_drawings,
        count(cash_drawings) as cash_drawings_known,
        sum(case when months_before <= 6 then cash_drawings end) as cash_drawings_6m,
        min(case when drawings > 0 then months_before end) as drawn_months_before,
        sum(paid_amt) as paid_amt,
        max(matured) as matured
    from months
    group by sk_id_curr
)
select
    applicants.sk_id_curr,
    applicants.months as credit_card__history_months_count,
    applicants.cards as credit_card__cards_count,
    applicants.months_before_min as credit_card__latest_months_min,
    applicants.months_before_max as credit_card__oldest_months_max,
    cast(applicants.active_months as double) / nullif(applicants.months, 0) as credit_card__active_months_share,
    cast(applicants.utilisation as double) / nullif(applicants.utilisations, 0) as credit_card__utilisation_ratio_mean,
    cast(applicants.utilisation_max as double) as credit_card__utilisation_ratio_max,
    cast(applicants.utilisation_3m as double) / nullif(applicants.utilisations_3m, 0) as credit_card__utilisation_ratio_mean_3m,
    cast(applicants.utilisation_6m as double) / nullif(applicants.utilisations_6m, 0) as credit_card__utilisation_ratio_mean_6m,
    cast(applicants.utilisation_max_6m as double) as credit_card__utilisation_ratio_max_6m,
    cast(applicants.utilisation_12m as double) / nullif(applicants.utilisations_12m, 0) as credit_card__utilisation_ratio_mean_12m,
    cast(applicants.utilisation_max_12m as double) as credit_card__utilisation_ratio_max_12m,
    cast(latest.balance_amt as double) / nullif(cast(latest.limit_amt as double), 0) as credit_card__utilisation_ratio_last,
    cast(applicants.over_limit as double) / nullif(applicants.utilisations, 0) as credit_card__over_limit_months_share,
    cast(applicants.coverage as double) / nullif(applicants.coverages, 0) as credit_card__paid_minimum_ratio_mean,
    cast(applicants.coverage_min as double) as credit_card__paid_minimum_ratio_min,
    cast(applicants.minimum_met as double) / nullif(applicants.coverages, 0) as credit_card__minimum_met_share,
    cast(applicants.minimum_met_12m as double) / nullif(applicants.coverages_12m, 0) as credit_card__minimum_met_share_12m,
    cast(applicants.dpd as double) / nullif(applicants.months, 0) as credit_card__dpd_months_share,
    cast(applicants.dpd_12m as double) / nullif(applicants.months_12m, 0) as credit_card__dpd_months_share_12m,
    cast(applicants.dpd_def as double) / nullif(applicants.months, 0) as credit_card__material_dpd_months_share,
    cast(applicants.dpd_def_12m as double) / nullif(applicants.months_12m, 0) as credit_card__material_dpd_months_share_12m,
    applicants.dpd_days_max as credit_card__dpd_days_max,
    applicants.dpd_days_max_12m as credit_card__dpd_days_max_12m,
    applicants.dpd_def_days_max as credit_card__material_dpd_days_max,
    applicants.dpd_months_before as credit_card__last_dpd_months_min,
    cast(applicants.balance_amt as double) / nullif(applicants.months, 0) as credit_card__balance_amt_mean,
    cast(applicants.balance_amt_6m as double) / nullif(applicants.months_6m, 0) as credit_card__balance_amt_mean_6m,
    cast(applicants.balance_amt_max as double) as credit_card__balance_amt_max,
    cast(latest.balance_amt as double) as credit_card__balance_amt_last,
    cast(latest.limit_amt as double) as credit_card__limit_amt_last,
    cast(latest.minimum_amt as double) as credit_card__minimum_amt_last,
    latest.active as credit_card__active_cards_count_last,
    cast(applicants.limit_amt_max as double) as credit_card__limit_amt_max,
    cast(applicants.limit_amt_min as double) as credit_card__limit_amt_min,
    cast(applicants.drawn_amt as double) / nullif(applicants.months, 0) as credit_card__drawn_amt_mean,
    cast(applicants.drawn_amt_12m as double) as credit_card__drawn_amt_sum_12m,
    cast(applicants.cash_amt as double) / nullif(cast(applicants.drawn_amt_split as double), 0) as credit_card__cash_drawn_ratio,
    cast(applicants.cash_amt_12m as double) / nullif(cast(applicants.drawn_amt_split_12m as double), 0) as credit_card__cash_drawn_ratio_12m,
    cast(applicants.cash_amt_max as double) as credit_card__cash_amt_max,
    cast(applicants.cash_limit_ratio as double) / nullif(applicants.cash_limit_ratios, 0) as credit_card__cash_limit_ratio_mean,
    cast(applicants.cash_limit_ratio_max as double) as credit_card__cash_limit_ratio_max,
    applicants.drawings as credit_card__drawings_count_sum,
    applicants.drawings_12m as credit_card__drawings_count_sum_12m,
    cast(applicants.cash_drawings as double) / nullif(applicants.cash_drawings_known, 0) as credit_card__cash_drawings_count_mean,
    applicants.cash_drawings_6m as credit_card__cash_drawings_count_sum_6m,
    applicants.drawn_months_before as credit_card__last_drawn_months_min,
    cast(applicants.paid_amt as double) as credit_card__paid_amt_sum,
    cast(applicants.paid_amt as double) / nullif(cast(applicants.drawn_amt as double), 0) as credit_card__paid_drawn_ratio,
    applicants.matured as credit_card__matured_instalments_count_max
from applicants
inner join latest on applicants.sk_id_curr = latest.sk_id_curr
