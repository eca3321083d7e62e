-- family: credit_card | grain: one row per sk_id_curr | owner: team:credit-features
-- inputs: credit_card_balance | known at: application day
with ends as (                    -- the latest month of an applicant, all cards together
    select sk_id_curr, max(months_balance) as latest_month
    from credit_card_balance
    group by sk_id_curr
),
balances as (                     -- one row per card and month, place 1 is the latest month
    select
        given.sk_id_curr,
        given.sk_id_prev,
        cast(-given.months_balance as integer) as months_before,
        cast(ends.latest_month - given.months_balance + 1 as integer) as place,
        cast(given.amt_balance as double) as balance,              -- as doubles, which divide faster
        cast(case when given.amt_credit_limit_actual > 0 then given.amt_credit_limit_actual end as double) as positive_limit,
        cast(given.amt_drawings_current as double) as drawn,
        cast(given.amt_drawings_atm_current as double) as cash,
        cast(given.amt_payment_total_current as double) as paid,
        cast(case when given.amt_inst_min_regularity > 0 then given.amt_inst_min_regularity end as double) as due,
        cast(round(1000 * given.amt_balance) / 1000 as decimal(18, 3)) as balance_amt,
        cast(given.amt_credit_limit_actual as decimal(18, 3)) as limit_amt,
        cast(round(1000 * given.amt_drawings_current) / 1000 as decimal(18, 3)) as drawn_amt,
        cast(round(1000 * given.amt_drawings_atm_current) / 1000 as decimal(18, 3)) as cash_amt,
        cast(round(1000 * given.amt_drawings_pos_current) / 1000 as decimal(18, 3)) as goods_amt,
        cast(round(1000 * given.amt_payment_total_current) / 1000 as decimal(18, 3)) as paid_amt,
        cast(round(1000 * given.amt_inst_min_regularity) / 1000 as decimal(18, 3)) as minimum_amt,
        cast(round(1000 * given.amt_recivable) / 1000 as decimal(18, 3)) as receivable_amt,
        cast(round(1000 * given.amt_receivable_principal) / 1000 as decimal(18, 3)) as principal_amt,
        cast(given.cnt_drawings_current as integer) as drawings,
        cast(round(given.cnt_drawings_atm_current) as integer) as cash_drawings,
        cast(round(given.cnt_drawings_pos_current) as integer) as goods_drawings,
        cast(round(given.cnt_instalment_mature_cum) as integer) as matured,
        cast(given.sk_dpd as integer) as dpd_days,
        cast(given.sk_dpd_def as integer) as material_dpd_days,
        case when given.name_contract_status = 'Active' then 1 else 0 end as is_active
    from credit_card_balance as given
    inner join ends on given.sk_id_curr = ends.sk_id_curr
),
months as (                       -- ratios in ten-thousandths, between -10 and 10; a card without a limit has none to it
    select
        sk_id_curr,
        sk_id_prev,
        months_before,
        place,
        balance_amt,
        cast(round(balance) as bigint) as balance_units,
        limit_amt,
        case when positive_limit is not null then balance_amt end as limited_balance_amt,
        drawn_amt,
        case when cash_amt is not null then drawn_amt end as cash_of_amt,          -- what is drawn where a kind of it is known
        case when goods_amt is not null then drawn_amt end as goods_of_amt,
        cash_amt,
        goods_amt,
        paid_amt,
        minimum_amt,
        case when due is not null then minimum_amt end as due_amt,
        receivable_amt,
        principal_amt,
        receivable_amt - principal_amt as charges_amt,
        drawings,
        cash_drawings,
        goods_drawings,
        matured,
        dpd_days,
        material_dpd_days,
        is_active,
        cast(case when balance >= 10 * positive_limit then 100000 when balance <= -10 * positive_limit then -100000
            else round(10000 * balance / nullif(positive_limit, 0)) end as integer) as utilisation,
        cast(case when drawn >= 10 * positive_limit then 100000 when drawn <= -10 * positive_limit then -100000
            else round(10000 * drawn / nullif(positive_limit, 0)) end as integer) as drawn_limit_ratio,
        cast(case when cash >= 10 * positive_limit then 100000 when cash <= -10 * positive_limit then -100000
            else round(10000 * cash / nullif(positive_limit, 0)) end as integer) as cash_limit_ratio,
        -- paid per minimal instalment; NULL where none was due
        cast(case when paid >= 10 * due then 100000 else round(10000 * paid / nullif(due, 0)) end as integer) as coverage,
        -- half the weight for each 3 or 12 months; whole, so that sums are exact
        case when months_before < 60 then cast(round(524288 * power(2e0, -months_before / 3e0)) as integer) else 0 end as weight_3,
        cast(round(524288 * power(2e0, -months_before / 12e0)) as integer) as weight_12
    from balances
),
latest as (
    select
        sk_id_curr,
        place,
        balance_amt,
        limited_balance_amt,
        limit_amt,
        minimum_amt,
        receivable_amt,
        drawn_amt,
        cash_of_amt,
        cash_amt,
        dpd_days,
        is_active,
        utilisation,
        coverage
    from months
    where place <= 6
),
cards as (                        -- one row per card
    select
        sk_id_curr,
        sk_id_prev,
        cast(count(*) as integer) as months,
        max(months_before) as first_months,
        max(drawings) as drawings,
        max(dpd_days) as dpd_days
    from months
    group by sk_id_curr, sk_id_prev
)
