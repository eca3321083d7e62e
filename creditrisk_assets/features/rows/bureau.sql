-- family: bureau | grain: one row per sk_id_curr | owner: team:credit-features
-- inputs: bureau, bureau_balance | known at: application day
with reported as (                -- one row per credit: days before the application positive, place 1 was opened last
    select
        sk_id_curr,
        cast(row_number() over (partition by sk_id_curr order by days_credit desc, sk_id_bureau) as smallint) as place,
        cast(case when lead(sk_id_bureau, 2) over (partition by sk_id_curr order by days_credit desc, sk_id_bureau) is null then 1 end as tinyint)
            as is_among_first_two,
        -- days since the credit opened before it, NULL for the first one
        cast(days_credit - lead(days_credit) over (partition by sk_id_curr order by days_credit desc, sk_id_bureau) as integer) as gap_days,
        case when row_number() over (partition by sk_id_curr order by days_credit desc, sk_id_bureau) = 1 then credit_type end as latest_type,
        cast(case credit_type when 'Consumer credit' then 1 when 'Credit card' then 2 when 'Mortgage' then 3 when 'Real estate loan' then 3
            when 'Car loan' then 4 when 'Microloan' then 5 else 6 end as tinyint) as kind,
        cast(case credit_active when 'Active' then 1 when 'Closed' then 2 else 3 end as tinyint) as state,   -- 3 sold or bad debt
        -- by its dates, which are known before the application day, unlike its state
        cast(case when days_enddate_fact is null then 1 else 0 end as tinyint) as is_running,
        cast(case when credit_currency <> 'currency 1' then 1 else 0 end as tinyint) as is_foreign,
        cast(-days_credit as integer) as opened_days,
        -- an end before the opening is no date, an agreed end in more than 50 years is none
        cast(round(case when days_credit_enddate between days_credit and 18263 then days_credit_enddate end) as integer) as remaining_days,
        cast(case when days_credit_enddate > 18263 then 1 else 0 end as tinyint) as is_open_ended,
        cast(round(case when days_enddate_fact >= days_credit then -days_enddate_fact end) as integer) as ended_days,
        cast(-days_credit_update as integer) as updated_days,
        cast(credit_day_overdue as integer) as overdue_days,
        cast(cnt_credit_prolong as integer) as prolongations,
        cast(round(1000 * amt_credit_sum) / 1000 as decimal(18, 3)) as credit_amt,
        cast(round(1000 * amt_credit_sum_debt) / 1000 as decimal(18, 3)) as debt_amt,
        cast(round(1000 * amt_credit_sum_limit) / 1000 as decimal(18, 3)) as limit_amt,
        cast(round(1000 * amt_credit_sum_overdue) / 1000 as decimal(18, 3)) as overdue_amt,
        cast(round(1000 * amt_credit_max_overdue) / 1000 as decimal(18, 3)) as worst_overdue_amt,
        cast(round(1000 * amt_annuity) / 1000 as decimal(18, 3)) as annuity_amt
    from bureau
),
credits as (                      -- ratios in ten-thousandths, between -10 and 10
    select
        sk_id_curr,
        kind,
        state,
        case when state = 1 and kind = 2 then 1 else 0 end as is_active_card,
        is_running,
        case when kind = 2 then 1 else 0 end as is_card,
        is_foreign,
        opened_days,
        gap_days,
        remaining_days,
        is_open_ended,
        opened_days + remaining_days as term_days,
        case when is_running = 1 then -remaining_days end as overrun_days,
        cast(case when is_running = 1 and remaining_days < 0 then 0
            when is_running = 1 then round(10000 * cast(remaining_days as double) / nullif(opened_days + remaining_days, 0)) end as integer)
            as term_left_share,
        ended_days,
        opened_days - ended_days as length_days,
        remaining_days + ended_days as early_days,                 -- positive: ended before the agreed day
        updated_days,
        overdue_days,
        prolongations,
        credit_amt,
        debt_amt,
        limit_amt,
        overdue_amt,
        worst_overdue_amt,
        annuity_amt,
        case when debt_amt is not null then credit_amt end as credit_amt_of_debt,
        -- what is still to be paid by the annuities, and what of the debt falls to a month until the agreed end; without an end, neither
        annuity_amt * case when remaining_days > 0 then cast(ceil(remaining_days / 30e0) as integer) when remaining_days <= 0 then 0 end as obligation_amt,
        cast(round(30 * cast(debt_amt as double) / nullif(case when remaining_days > 30 then remaining_days when remaining_days <= 30 then 30 end, 0)) as bigint) as burden_amt,
        case when remaining_days <= 365 then debt_amt end as year_debt_amt,
        cast(case when credit_amt = 0 then null when debt_amt > 10 * credit_amt then 100000 when debt_amt < -10 * credit_amt then -100000
            else round(10000 * cast(debt_amt as double) / nullif(cast(credit_amt as double), 0)) end as integer) as debt_ratio,
        cast(case when credit_amt = 0 then null when worst_overdue_amt > 10 * credit_amt then 100000
            else round(10000 * cast(worst_overdue_amt as double) / nullif(cast(credit_amt as double), 0)) end as integer) as worst_overdue_ratio,
        case when worst_overdue_amt > 0 then 1 when worst_overdue_amt is not null then 0 end as was_overdue,
        -- half the weight for each 90 or 365 days, whole so that sums are exact
        cast(round(1073741824 * power(2e0, -opened_days / 90e0)) as bigint) as weight_90,
        cast(round(1073741824 * power(2e0, -opened_days / 365e0)) as bigint) as weight_365
    from reported
),
openings as (                     -- few columns: they are grouped by when the credit was opened, too
    select
        sk_id_curr,
        kind,
        state,
        opened_days,
        credit_amt,
        debt_amt,
        case when debt_amt is not null then credit_amt end as credit_amt_of_debt,
        worst_overdue_amt
    from reported
),
latest as (                       -- the five opened last
    select
        sk_id_curr,
        place,
        latest_type,
        kind,
        is_running,
        opened_days,
        gap_days,
        opened_days + remaining_days as term_days,
        credit_amt,
        debt_amt,
        case when debt_amt is not null then credit_amt end as credit_amt_of_debt
    from reported
    where place <= 5
),
earliest as (                     -- the two opened first
    select
        sk_id_curr,
        kind,
        opened_days - ended_days as length_days,
        credit_amt
    from reported
    where is_among_first_two = 1
),
stretches as (                    -- the one pass over the monthly rows: a credit's months of one state, by how long ago they were
    select
        sk_id_bureau,
        within_months,
        state,
        cast(count(*) as smallint) as months,
        cast(min(months_before) as smallint) as newest,
        cast(max(months_before) as smallint) as oldest,
        cast(sum(months_before) as integer) as ages,
        cast(sum(months_before * months_before) as integer) as squared_ages,
        -- half the weight for each 12 months, whole so that sums are exact
        cast(sum(case when state between 1 and 5 then round(1073741824 * power(2e0, -months_before / 12e0)) end) as bigint) as dpd_weight
    from (                        -- days past due in the month: 0 none, 1 up to 30 … 5 beyond 120; 6 closed, NULL unknown
        select
            sk_id_bureau,
            -months_balance as months_before,
            cast(case when -months_balance <= 3 then 3 when -months_balance <= 6 then 6 when -months_balance <= 12 then 12
                when -months_balance <= 24 then 24 when -months_balance <= 60 then 60 else 9999 end as smallint) as within_months,
            cast(case status when 'C' then 6 when '0' then 0 when '1' then 1 when '2' then 2 when '3' then 3 when '4' then 4 when '5' then 5 end
                as tinyint) as state
        from bureau_balance
    ) as statuses
    group by sk_id_bureau, within_months, state
),
monthly as (                      -- of known credits; rows of unknown ones belong to nobody
    select
        bureau.sk_id_curr,
        bureau.sk_id_bureau,
        cast(case when bureau.days_enddate_fact is null then 1 else 0 end as tinyint) as is_running,
        stretches.within_months,
        stretches.state,
        case when stretches.state = 6 then cast(0 as tinyint) else stretches.state end as level,   -- closed is not past due, unknown neither on time nor late
        stretches.months,
        stretches.newest,
        stretches.oldest,
        stretches.ages,
        stretches.squared_ages,
        stretches.dpd_weight
    from stretches
    inner join bureau on stretches.sk_id_bureau = bureau.sk_id_bureau
),
summed as (                       -- one row per credit with monthly rows; n, t, tt, x, tx as in least squares of level over age
    select
        sk_id_curr,
        is_running,
        sum(months) as months,
        sum(case when level >= 0 then months end) as known_months,
        sum(case when level > 0 then months else 0 end) as dpd_months,
        sum(case when within_months <= 12 and level >= 0 then months end) as n_12,
        sum(case when within_months <= 12 and level >= 0 then ages end) as t_12,
        sum(case when within_months <= 12 and level >= 0 then squared_ages end) as tt_12,
        sum(case when within_months <= 12 then level * months end) as x_12,
        sum(case when within_months <= 12 then level * ages end) as tx_12,
        sum(case when within_months <= 24 and level >= 0 then months end) as n_24,
        sum(case when within_months <= 24 and level >= 0 then ages end) as t_24,
        sum(case when within_months <= 24 and level >= 0 then squared_ages end) as tt_24,
        sum(case when within_months <= 24 then level * months end) as x_24,
        sum(case when within_months <= 24 then level * ages end) as tx_24
    from monthly
    group by sk_id_curr, sk_id_bureau, is_running
),
histories as (                    -- shares and trends in ten-thousandths
    select
        sk_id_curr,
        is_running,
        cast(months as integer) as months,
        cast(dpd_months as integer) as dpd_months,
        case when known_months > 0 then 1 else 0 end as is_known,
        cast(round(10000 * cast(dpd_months as double) / nullif(known_months, 0)) as integer) as dpd_share,
        cast(round(-10000 * cast(n_12 * tx_12 - t_12 * x_12 as double) / nullif(n_12 * tt_12 - t_12 * t_12, 0)) as integer) as level_slope_12,
        cast(round(-10000 * cast(n_24 * tx_24 - t_24 * x_24 as double) / nullif(n_24 * tt_24 - t_24 * t_24, 0)) as integer) as level_slope_24
    from summed
)
