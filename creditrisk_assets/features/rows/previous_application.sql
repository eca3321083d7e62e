-- family: previous_application | grain: one row per sk_id_curr | owner: team:credit-features
-- inputs: previous_application | known at: application day
with reported as (                -- one row per earlier application: days before positive, 365243 (has not come) and credits of 0 (never set) NULL
    select
        sk_id_curr,
        sk_id_prev,
        code_reject_reason,
        case name_contract_status when 'Approved' then 1 else 0 end as is_approved,
        case name_contract_status when 'Refused' then 1 else 0 end as is_refused,
        case name_contract_status when 'Canceled' then 1 else 0 end as is_cancelled,
        case name_contract_status when 'Unused offer' then 1 else 0 end as is_unused,
        case name_contract_type when 'Cash loans' then 1 else 0 end as is_cash,
        case name_contract_type when 'Consumer loans' then 1 else 0 end as is_consumer,
        case name_contract_type when 'Revolving loans' then 1 else 0 end as is_revolving,
        case when name_contract_status = 'Approved' and days_termination > 0 then 1 else 0 end as is_running,
        cast(-days_decision as integer) as decided_days,
        cast(round(cnt_payment) as integer) as term_months,
        cast(round(1000 * amt_application) / 1000 as decimal(18, 3)) as asked_amt,
        cast(round(1000 * nullif(amt_credit, 0)) / 1000 as decimal(18, 3)) as credit_amt,
        cast(round(1000 * amt_annuity) / 1000 as decimal(18, 3)) as annuity_amt,
        cast(round(1000 * amt_goods_price) / 1000 as decimal(18, 3)) as goods_amt,
        cast(round(1000 * amt_down_payment) / 1000 as decimal(18, 3)) as down_payment_amt,
        cast(rate_down_payment as double) as down_payment_share,
        cast(amt_annuity as double) / nullif(cast(amt_credit as double), 0) as payment_rate,
        -- what the loan costs beyond its amount, per amount
        case when cnt_payment > 0 and amt_annuity > 0 then cast(amt_annuity as double) * cnt_payment / nullif(cast(amt_credit as double), 0) - 1 end as interest_ratio,
        cast(round(case when days_first_due <> 365243 then -days_first_due end) as integer) as first_due_days,
        cast(round(case when days_last_due <> 365243 then -days_last_due end) as integer) as last_due_days,
        cast(round(case when days_last_due_1st_version <> 365243 then -days_last_due_1st_version end) as integer) as planned_due_days,
        cast(round(case when days_termination <> 365243 then -days_termination end) as integer) as ended_days
    from previous_application
),
placed as (                       -- place 1 was decided last; of one day the larger key is the later one
    select
        sk_id_curr,
        sk_id_prev,
        code_reject_reason,
        is_approved,
        is_refused,
        is_cancelled,
        is_unused,
        is_cash,
        is_consumer,
        is_revolving,
        is_running,
        decided_days,
        term_months,
        asked_amt,
        credit_amt,
        annuity_amt,
        goods_amt,
        down_payment_amt,
        down_payment_share,
        payment_rate,
        interest_ratio,
        -- the monthly rate r solves amount = annuity · (1 - (1 + r)^-n) / r; it lies between two closed forms, nearer to the lower one
        case when interest_ratio >= 1e-4 then
            (2 * (power(1 + interest_ratio, 2e0 / nullif(term_months + 1, 0)) - 1) + 2 * interest_ratio / nullif(term_months + 1, 0)) / 3
        end as rate_start,
        first_due_days,
        last_due_days,
        planned_due_days,
        ended_days,
        row_number() over (partition by sk_id_curr order by decided_days, sk_id_prev desc) as place,
        -- how many of its kind were decided since, itself included
        cast(sum(is_approved) over (partition by sk_id_curr order by decided_days, sk_id_prev desc) as integer) as approvals_since,
        cast(sum(is_refused) over (partition by sk_id_curr order by decided_days, sk_id_prev desc) as integer) as refusals_since,
        -- days since the decision before it, NULL for the first one
        lead(decided_days) over (partition by sk_id_curr order by decided_days, sk_id_prev desc) - decided_days as gap_days,
        lead(sk_id_prev, 2) over (partition by sk_id_curr order by decided_days, sk_id_prev desc) as decided_two_before
    from reported
),
dated as (                        -- what lies ahead of running loans by their first schedule: instalments a month (30.4375 days) apart
    select
        sk_id_curr,
        sk_id_prev,
        code_reject_reason,
        is_approved,
        is_refused,
        is_cancelled,
        is_unused,
        is_cash,
        is_consumer,
        is_revolving,
        is_running,
        decided_days,
        term_months,
        asked_amt,
        credit_amt,
        annuity_amt,
        goods_amt,
        down_payment_amt,
        down_payment_share,
        payment_rate,
        interest_ratio,
        rate_start - (rate_start - payment_rate * (1 - power(1 + rate_start, -term_months)))
        / nullif(1 - payment_rate * term_months * power(1 + rate_start, -term_months) / nullif(1 + rate_start, 0), 0) as rate_step,
        first_due_days,
        last_due_days,
        planned_due_days,
        ended_days,
        cast(case when is_running = 1 and planned_due_days < 0 then ceil(-planned_due_days / 304375e-4) when is_running = 1 and planned_due_days >= 0 then 0 end as integer)
            as months_to_plan,
        place,
        approvals_since,
        refusals_since,
        gap_days,
        decided_two_before
    from placed
),
valued as (                       -- ratios as they are; the third Newton step leaves less than 2e-12 up to a rate of 1
    select
        sk_id_curr,
        sk_id_prev,
        code_reject_reason,
        is_approved,
        is_refused,
        is_cancelled,
        is_unused,
        is_cash,
        is_consumer,
        is_revolving,
        is_running,
        decided_days,
        term_months,
        asked_amt,
        credit_amt,
        annuity_amt,
        goods_amt,
        down_payment_amt,
        down_payment_share,
        payment_rate,
        interest_ratio,
        24 * interest_ratio / nullif(term_months + 1, 0) as simple_rate,
        rate_step - (rate_step - payment_rate * (1 - power(1 + rate_step, -term_months)))
        / nullif(1 - payment_rate * term_months * power(1 + rate_step, -term_months) / nullif(1 + rate_step, 0), 0) as rate_step,
        cast(asked_amt as double) / nullif(cast(credit_amt as double), 0) as asked_ratio,
        cast(credit_amt as double) / nullif(cast(goods_amt as double), 0) as goods_ratio,
        cast(down_payment_amt as double) / nullif(cast(credit_amt as double), 0) as down_payment_ratio,
        first_due_days,
        last_due_days,
        planned_due_days,
        ended_days,
        case when months_to_plan > term_months then term_months else months_to_plan end as months_left,
        place,
        approvals_since,
        refusals_since,
        gap_days,
        decided_two_before
    from dated
),
applications as (                 -- ratios in millionths between -10 and 10, rates between 0 and 1
    select
        sk_id_curr,
        sk_id_prev,
        code_reject_reason,
        is_approved,
        is_refused,
        is_cancelled,
        is_unused,
        is_cash,
        is_consumer,
        is_revolving,
        is_running,
        case when is_refused = 1 then 1 when is_approved = 1 then 0 end as was_refused,
        decided_days,
        term_months,
        asked_amt,
        case when asked_amt > 0 then 0 when asked_amt is not null then 1 end as is_without_amount,
        credit_amt,
        cast(round(credit_amt) as bigint) as credit_whole,
        annuity_amt,
        cast(round(annuity_amt) as bigint) as annuity_whole,
        goods_amt,
        down_payment_amt,
        cast(round(1000000 * down_payment_share) as integer) as down_payment_share,
        cast(case when payment_rate > 10 then 10000000 else round(1000000 * payment_rate) end as integer) as payment_rate,
        cast(case when interest_ratio > 10 then 10000000 else round(1000000 * interest_ratio) end as integer) as interest_ratio,
        cast(case when simple_rate > 10 then 10000000 when simple_rate < -10 then -10000000 else round(1000000 * simple_rate) end as integer) as simple_rate,
        -- without a remainder above the amount there is no interest; a remainder below 1/10000 is too small for the steps, and not for this
        cast(case
            when interest_ratio <= 0 then 0
            when interest_ratio < 1e-4 then round(2000000 * interest_ratio / nullif(term_months + 1, 0))
            when rate_step > 1 then 1000000
            when rate_step >= 0 then round(1000000 * (rate_step - (rate_step - payment_rate * (1 - power(1 + rate_step, -term_months)))
                / nullif(1 - payment_rate * term_months * power(1 + rate_step, -term_months) / nullif(1 + rate_step, 0), 0)))
        end as bigint) as monthly_rate,
        cast(case when asked_ratio > 10 then 10000000 else round(1000000 * asked_ratio) end as bigint) as asked_ratio,
        cast(case when goods_ratio > 10 then 10000000 else round(1000000 * goods_ratio) end as integer) as goods_ratio,
        cast(case when down_payment_ratio > 10 then 10000000 when down_payment_ratio < -10 then -10000000 else round(1000000 * down_payment_ratio) end as integer)
            as down_payment_ratio,
        first_due_days,
        last_due_days,
        ended_days,
        last_due_days - planned_due_days as early_days,            -- positive: paid off before the first schedule said
        first_due_days - ended_days as length_days,
        case when is_running = 1 and planned_due_days >= 0 then 1 else 0 end as is_overrun,
        months_left,
        annuity_amt * months_left as obligation_amt,
        case when months_left > 0 then annuity_amt end as due_annuity_amt,
        place,
        approvals_since,
        refusals_since,
        gap_days,
        case when decided_two_before is null then 1 end as among_first_two,
        -- half the weight for each 90 or 365 days, whole so that sums are exact, and never nothing
        cast(1 + round(16777216 * power(2e0, -decided_days / 90e0)) as bigint) as weight_90,
        cast(1 + round(16777216 * power(2e0, -decided_days / 365e0)) as bigint) as weight_365
    from valued
),
latest as (                       -- the five decided last
    select
        sk_id_curr,
        place,
        is_approved,
        is_refused,
        is_cash,
        is_revolving,
        decided_days,
        gap_days,
        term_months,
        asked_amt,
        credit_amt,
        annuity_amt,
        asked_ratio,
        monthly_rate,
        down_payment_share
    from applications
    where place <= 5
),
earliest as (                     -- the two decided first
    select
        sk_id_curr,
        is_refused,
        term_months,
        asked_amt,
        credit_amt,
        annuity_amt,
        asked_ratio,
        monthly_rate
    from applications
    where among_first_two = 1
),
approved as (                     -- the three approved last
    select
        sk_id_curr,
        approvals_since,
        term_months,
        credit_amt,
        annuity_amt,
        asked_ratio,
        goods_ratio,
        monthly_rate,
        down_payment_share,
        length_days,
        early_days
    from applications
    where is_approved = 1 and approvals_since <= 3
),
labels as (                       -- what the shares of kinds are taken of
    select
        sk_id_curr,
        name_contract_status,
        name_contract_type,
        name_client_type,
        name_product_type,
        name_portfolio,
        name_yield_group,
        channel_type,
        product_combination,
        code_reject_reason,
        nflag_insured_on_approval,
        amt_annuity,
        amt_down_payment,
        days_first_drawing,
        days_termination,
        case when product_combination like '%without interest' then 1 else 0 end as is_free_of_interest,
        case when product_combination like 'POS mobile%' then 1 else 0 end as is_pos_mobile,
        case when product_combination like 'POS household%' then 1 else 0 end as is_pos_household,
        case when product_combination like 'Cash Street%' then 1 else 0 end as is_cash_street,
        case when product_combination like 'Cash X-Sell%' then 1 else 0 end as is_cash_x_sell,
        case when code_reject_reason in ('SCO', 'SCOFR') then 1 else 0 end as is_rejected_by_score,
        case when name_yield_group in ('low_normal', 'low_action') then 1 else 0 end as is_low_yield
    from previous_application
),
newest as (                       -- the latest application as it was, with the reason of the latest refusal
    select
        decided.sk_id_curr,
        stated.name_contract_type as previous_application__contract_type_category_last,
        stated.name_contract_status as previous_application__status_category_last,
        stated.name_yield_group as previous_application__yield_category_last,
        stated.name_client_type as previous_application__client_type_category_last,
        stated.name_goods_category as previous_application__goods_category_last,
        stated.name_portfolio as previous_application__portfolio_category_last,
        stated.channel_type as previous_application__channel_category_last,
        stated.product_combination as previous_application__product_category_last,
        stated.name_seller_industry as previous_application__seller_category_last,
        stated.name_cash_loan_purpose as previous_application__purpose_category_last,
        refused.code_reject_reason as previous_application__reject_reason_category_last,
        approval.product_combination as previous_application__approved_product_category_last,
        cast(decided.asked_amt as double) as previous_application__asked_amt_last,
        cast(decided.credit_amt as double) as previous_application__credit_amt_last,
        cast(decided.annuity_amt as double) as previous_application__annuity_amt_last,
        decided.term_months as previous_application__term_months_last,
        cast(decided.interest_ratio as double) / 1000000 as previous_application__interest_credit_ratio_last
    from applications as decided
    inner join previous_application as stated on decided.sk_id_curr = stated.sk_id_curr and decided.sk_id_prev = stated.sk_id_prev
    left join applications as refused on decided.sk_id_curr = refused.sk_id_curr and refused.is_refused = 1 and refused.refusals_since = 1
    left join applications as accepted on decided.sk_id_curr = accepted.sk_id_curr and accepted.is_approved = 1 and accepted.approvals_since = 1
    left join previous_application as approval on accepted.sk_id_curr = approval.sk_id_curr and accepted.sk_id_prev = approval.sk_id_prev
    where decided.place = 1
)
