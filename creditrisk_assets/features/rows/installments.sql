-- family: installments | grain: one row per sk_id_curr | owner: team:credit-features
-- inputs: installments_payments | known at: application day
with instalments as (             -- one row per scheduled instalment: partial payments summed first, the last one settles it
    select
        sk_id_curr,
        sk_id_prev,
        version,
        number,
        -max(cast(round(days_instalment) as integer)) as due_days,
        -max(cast(round(days_entry_payment) as integer)) as settled_days,
        max(cast(round(1000 * amt_instalment) / 1000 as decimal(18, 3))) as due_amt,
        cast(sum(cast(round(1000 * amt_payment) / 1000 as decimal(18, 3))) as decimal(18, 3)) as paid_amt,
        cast(count(days_entry_payment) as integer) as payments   -- a missed instalment has a row, too
    from (                        -- whole numbers group faster
        select
            sk_id_curr,
            sk_id_prev,
            cast(round(num_instalment_version) as integer) as version,
            cast(num_instalment_number as integer) as number,
            days_instalment,
            days_entry_payment,
            amt_instalment,
            amt_payment
        from installments_payments
        where days_instalment <= 0   -- what falls due later is a plan, not behaviour
    ) as payments
    group by sk_id_curr, sk_id_prev, version, number
),
placed as (                       -- 1 is the one due last; sorted by applicant, which halves the cost of what is summed up next
    select
        sk_id_curr,
        sk_id_prev,
        version,
        number,
        due_days,
        settled_days,
        due_amt,
        paid_amt,
        payments,
        row_number() over (partition by sk_id_curr order by due_days, sk_id_prev, version, number) as place
    from instalments
),
behaviour as (                    -- an instalment without a payment date is unknown: neither on time nor late
    select
        sk_id_curr,
        sk_id_prev,
        version,
        number,
        place,
        due_days,
        due_amt,
        paid_amt,
        payments,
        case when due_days > settled_days then due_days - settled_days when settled_days is not null then 0 end as late_days,
        case when settled_days > due_days then settled_days - due_days when settled_days is not null then 0 end as early_days,
        case when due_days > settled_days then 1 when settled_days is not null then 0 end as is_late,
        case when paid_amt < due_amt then due_amt - paid_amt when paid_amt is not null then cast(0 as decimal(18, 3)) end as short_amt,
        case when paid_amt > due_amt then paid_amt - due_amt when paid_amt is not null then cast(0 as decimal(18, 3)) end as over_amt,
        case when paid_amt is not null then due_amt end as settled_due_amt,
        -- paid per due in ten-thousandths, at most ten times
        cast(case when paid_amt = due_amt and due_amt > 0 then 10000
            when due_amt > 0 and paid_amt >= 10 * due_amt then 100000
            else round(10000 * cast(paid_amt as double) / nullif(cast(due_amt as double), 0)) end as integer) as paid_ratio,
        -- half the weight for each 90 or 365 days, none after ten of them: whole, so that sums are exact, and small enough for a product
        -- with any amount; no weight lies within a millionth of a half, so engines whose power differs in the last bit round it alike
        case when due_days <= 900 then cast(round(524288 * power(2e0, -due_days / 90e0)) as integer) else 0 end as weight_90,
        case when due_days <= 3650 then cast(round(524288 * power(2e0, -due_days / 365e0)) as integer) else 0 end as weight_365
    from placed
),
latest as (
    select
        sk_id_curr,
        place,
        due_amt,
        late_days,
        early_days,
        short_amt,
        settled_due_amt,
        paid_ratio
    from behaviour
    where place <= 10
),
opening as (                      -- the first four of each loan; a card has no first instalment
    select
        sk_id_curr,
        number,
        late_days,
        early_days,
        short_amt,
        settled_due_amt,
        paid_ratio
    from behaviour
    where version > 0 and number <= 4
),
totals as (                       -- one row per loan or card
    select
        sk_id_curr,
        sk_id_prev,
        min(due_days) as last_due_days,
        max(due_days) as first_due_days,
        max(version) as version,
        cast(count(*) as integer) as instalments,
        sum(payments) as payments,
        count(late_days) as settled,
        count(case when late_days > 0 then 1 end) as late,
        max(late_days) as late_days,
        sum(late_days) as late_days_sum,
        max(early_days) as early_days,
        sum(short_amt) as short_amt,
        sum(settled_due_amt) as settled_due_amt,
        sum(due_amt) as due_amt
    from behaviour
    group by sk_id_curr, sk_id_prev
),
loans as (                        -- ratios and shares in ten-thousandths, mean days in hundredths
    select
        sk_id_curr,
        version,
        last_due_days,
        first_due_days,
        first_due_days - last_due_days as length_days,
        instalments,
        payments,
        case when version = 0 then instalments else 0 end as card_instalments,
        settled,
        late,
        late_days,
        early_days,
        short_amt,
        settled_due_amt,
        due_amt,
        cast(round(10000 * cast(late as double) / nullif(settled, 0)) as integer) as late_share,
        cast(round(100 * cast(late_days_sum as double) / nullif(settled, 0)) as integer) as late_days_mean,
        cast(round(10000 * cast(short_amt as double) / nullif(cast(settled_due_amt as double), 0)) as integer) as short_ratio,
        row_number() over (partition by sk_id_curr order by first_due_days, sk_id_prev) as place
    from totals
)
