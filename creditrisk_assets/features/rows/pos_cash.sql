-- family: pos_cash | grain: one row per sk_id_curr | owner: team:credit-features
-- inputs: pos_cash_balance | known at: application day
with ends as (                    -- the latest month of an applicant, all contracts together
    select sk_id_curr, max(months_balance) as latest_month
    from pos_cash_balance
    group by sk_id_curr
),
months as (                       -- one row per contract and month, place 1 is the latest month
    select
        given.sk_id_curr,
        given.sk_id_prev,
        cast(-given.months_balance as integer) as months_before,
        cast(ends.latest_month - given.months_balance + 1 as integer) as place,
        cast(round(given.cnt_instalment) as integer) as term,
        cast(round(given.cnt_instalment_future) as integer) as future,
        -- instalments left per term in ten-thousandths, at most ten times
        cast(case when given.cnt_instalment > 0 and given.cnt_instalment_future >= 10 * given.cnt_instalment then 100000
            when given.cnt_instalment > 0
                then round(10000 * cast(given.cnt_instalment_future as double) / nullif(cast(given.cnt_instalment as double), 0))
            end as integer) as left_ratio,
        cast(given.sk_dpd as integer) as dpd_days,
        cast(given.sk_dpd_def as integer) as material_dpd_days,
        case when given.sk_dpd_def > 0 then 1 when given.sk_dpd_def is not null then 0 end as is_material_dpd,
        case given.name_contract_status when 'Active' then 1 when 'Completed' then 2 when 'Signed' then 3 when 'Demand' then 4
            when 'Returned to the store' then 5 when 'Amortized debt' then 6 else 0 end as state,
        -- half the weight for each 12 months; whole, so that sums are exact
        cast(round(524288 * power(2e0, given.months_balance / 12e0)) as integer) as weight_12
    from pos_cash_balance as given
    inner join ends on given.sk_id_curr = ends.sk_id_curr
),
latest as (
    select
        sk_id_curr,
        place,
        left_ratio,
        future,
        dpd_days,
        material_dpd_days,
        state
    from months
    where place <= 6
),
packed as (                       -- one row per contract; its latest known value has the month and the value in one number
    select
        sk_id_curr,
        sk_id_prev,
        cast(count(*) as integer) as months,
        max(months_before) as oldest_months,
        max(dpd_days) as dpd_days,
        max(material_dpd_days) as material_dpd_days,
        min(case when state = 2 then months_before end) as completed_months,
        max(case when state = 4 then 1 else 0 end) as is_demanded,
        max(case when state = 5 then 1 else 0 end) as is_returned,
        max(case when state = 6 then 1 else 0 end) as is_amortized,
        max(term) as longest_term,
        max((10000 - cast(months_before as bigint)) * 1000000 + term) as packed_term,
        max((10000 - cast(months_before as bigint)) * 1000000 + future) as packed_future,
        max((10000 - cast(months_before as bigint)) * 10 + case when state = 1 then 1 else 0 end) as packed_active,
        max((10000 - cast(months_before as bigint)) * 1000000 + left_ratio) as packed_left
    from months
    group by sk_id_curr, sk_id_prev
),
contracts as (                    -- place 1 began last
    select
        sk_id_curr,
        months,
        oldest_months,
        dpd_days,
        material_dpd_days,
        completed_months,
        is_demanded,
        is_returned,
        is_amortized,
        longest_term,
        cast(mod(packed_term, 1000000) as integer) as term,
        cast(mod(packed_future, 1000000) as integer) as future,
        cast(mod(packed_left, 1000000) as integer) as left_ratio,
        cast(case when completed_months is null then mod(packed_active, 10) else 0 end as integer) as is_running,
        cast(case when completed_months is not null and mod(packed_future, 1000000) > 0 then 1
            when completed_months is not null then 0 end as integer) as is_completed_early,
        cast(case when completed_months is not null then mod(packed_future, 1000000) end as integer) as spared,
        case when completed_months is not null then oldest_months - completed_months end as length_months,
        cast(case when longest_term > mod(packed_term, 1000000) then 1 else 0 end as integer) as is_shortened,
        cast(row_number() over (partition by sk_id_curr order by oldest_months, sk_id_prev) as integer) as place
    from packed
)
