"""previous_application's descriptive columns: purpose, goods, portfolio, channel, seller, yield, product combination.

What belongs here: texts that follow from a loan's type, status and rate. What does not: amounts and dates (`previous`).
"""

import numpy as np

from creditrisk_assets.simulation import previous_marginals as m
from creditrisk_assets.simulation.sampling import BoolArray, Category, FloatArray, IntArray, Table, chance, days

PORTFOLIOS = ("XNA", "POS", "Cash", "Cards", "Cars")
PRODUCT_TYPES = ("XNA", "x-sell", "walk-in")
COMBINATIONS = (
    "Cash", "POS household with interest", "POS mobile with interest", "POS industry with interest", "POS other with interest",
    "POS household without interest", "POS mobile without interest", "POS industry without interest", "POS others without interest",
    "Cash X-Sell: low", "Cash X-Sell: middle", "Cash X-Sell: high", "Cash Street: low", "Cash Street: middle", "Cash Street: high",
    "Card Street", "Card X-Sell",
)  # fmt: skip


def describe_products(
    rng: np.random.Generator,
    kind: IntArray,
    status: IntArray,
    rate: FloatArray,
    cross_sell: BoolArray,
    asked: FloatArray,
    unpriced: BoolArray,
) -> Table:
    """Draw the descriptive columns of earlier applications.

    Parameters
    ----------
    rng
        Source of randomness.
    kind, status
        Codes of the contract type and of the outcome.
    rate
        Monthly interest rate.
    cross_sell
        Whether the offer went to a customer of the lender.
    asked
        Amount applied for; 0 where the application was dropped before an amount was named.
    unpriced
        Where no annuity was ever computed.
    """
    size = len(kind)
    cash, consumer, revolving = (kind == code for code in (m.CASH, m.CONSUMER, m.REVOLVING))
    goods = m.GOODS.pick(rng, size)
    band = np.where(unpriced | revolving, 0, 1 + np.searchsorted(m.YIELD_EDGES, rate))
    walk_in = (cash | revolving) & ~unpriced & ~cross_sell
    sold = (cash | revolving) & ~unpriced & cross_sell
    named = walk_in & cash & chance(rng, 0.62, size)
    by_bank = (status == m.APPROVED) | (status == m.REFUSED) & chance(rng, 0.35, size)
    by_bank &= ~(revolving & chance(rng, 0.5, size))
    return {
        "NAME_CASH_LOAN_PURPOSE": _purposes(rng, cash, named),
        "NAME_PAYMENT_TYPE": _else_xna(m.PAYMENT_TYPES.pick(rng, size), by_bank),
        "CODE_REJECT_REASON": _reasons(rng, status),
        "NAME_TYPE_SUITE": m.TYPE_SUITES.pick(rng, size).null_where(chance(rng, np.where(consumer, 0.30, 0.635), size)),
        "NAME_CLIENT_TYPE": _clients(rng, consumer),
        "NAME_GOODS_CATEGORY": _else_xna(goods, consumer),
        "NAME_PORTFOLIO": _portfolios(rng, kind, unpriced & ~consumer, size),
        "NAME_PRODUCT_TYPE": Category(PRODUCT_TYPES, np.select([sold, walk_in], [1, 2], 0)),
        "CHANNEL_TYPE": _channels(rng, consumer),
        "SELLERPLACE_AREA": _areas(rng, consumer),
        "NAME_SELLER_INDUSTRY": _industries(rng, goods, consumer),
        "NAME_YIELD_GROUP": Category(m.YIELDS, band),
        "PRODUCT_COMBINATION": _combinations(kind, goods, band, cross_sell, unpriced | (asked == 0.0)).null_where(
            chance(rng, 0.00031, size)
        ),
    }


def _else_xna(category: Category, rows: BoolArray) -> Category:
    return Category((*category.names, "XNA"), np.where(rows, category.codes, len(category.names)))


def _purposes(rng: np.random.Generator, cash: BoolArray, named: BoolArray) -> Category:
    drawn = m.PURPOSES.pick(rng, len(cash))
    other = np.where(cash, len(drawn.names) + 1, len(drawn.names))
    return Category((*drawn.names, "XAP", "XNA"), np.where(named, drawn.codes, other))


def _reasons(rng: np.random.Generator, status: IntArray) -> Category:
    drawn = m.REJECT_REASONS.pick(rng, len(status))
    other = np.where(status == m.UNUSED, len(drawn.names) + 1, len(drawn.names))
    return Category((*drawn.names, "XAP", "CLIENT"), np.where(status == m.REFUSED, drawn.codes, other))


def _clients(rng: np.random.Generator, consumer: BoolArray) -> Category:
    drawn = m.CLIENT_TYPES.pick(rng, len(consumer))
    new = chance(rng, np.where(consumer, 0.37, 0.045), len(consumer))
    return Category((*drawn.names, "New"), np.where(new, len(drawn.names), drawn.codes))


def _portfolios(rng: np.random.Generator, kind: IntArray, unnamed: BoolArray, size: int) -> Category:
    codes = np.array([PORTFOLIOS.index(name) for name in ("Cash", "POS", "Cards", "XNA")])[kind]
    codes = np.where((codes == 1) & chance(rng, 0.0006, size), PORTFOLIOS.index("Cars"), codes)
    return Category(PORTFOLIOS, np.where(unnamed, 0, codes))


def _channels(rng: np.random.Generator, consumer: BoolArray) -> Category:
    shop, office = m.SHOP_CHANNELS.pick(rng, len(consumer)), m.CASH_CHANNELS.pick(rng, len(consumer))
    recode = [np.array([m.CHANNELS.index(name) for name in drawn.names])[drawn.codes] for drawn in (shop, office)]
    return Category(m.CHANNELS, np.where(consumer, *recode))


def _areas(rng: np.random.Generator, consumer: BoolArray) -> IntArray:
    size = len(consumer)
    shop = days(m.SELLER_AREA.at_share(rng.random(size)))
    return np.where(consumer, shop, np.where(chance(rng, 0.83, size), -1, 0))


def _industries(rng: np.random.Generator, goods: Category, consumer: BoolArray) -> Category:
    by_goods = np.array(
        [m.INDUSTRIES.index(m.INDUSTRY_OF_GOODS.get(name, "Consumer electronics")) for name in goods.names]
    )
    codes = by_goods[goods.codes]
    general = chance(rng, 0.02, len(consumer))  # a general store sells phones too
    return Category(
        m.INDUSTRIES, np.where(consumer, np.where(general, m.INDUSTRIES.index("Consumer electronics"), codes), 0)
    )


def _combinations(
    kind: IntArray, goods: Category, band: IntArray, cross_sell: BoolArray, unpriced: BoolArray
) -> Category:
    cheap = (band == 1) | (band == 2) & cross_sell
    mobile, industry = (
        goods.is_any("Mobile"),
        goods.is_any("Furniture", "Construction Materials", "Clothing and Accessories", "Jewelry"),
    )
    other = goods.is_any("Vehicles", "Auto Accessories", "Tourism", "Medicine", "Education")
    shelf = np.select([mobile, industry, other], [1, 2, 3], 0)
    free = np.where(
        cheap, COMBINATIONS.index("POS household without interest"), COMBINATIONS.index("POS household with interest")
    )
    pos = free + shelf
    level = np.clip(band - 2, 0, 2)
    start = np.where(cross_sell, COMBINATIONS.index("Cash X-Sell: low"), COMBINATIONS.index("Cash Street: low"))
    money = np.where(unpriced, 0, start + level)
    card = np.where(cross_sell, COMBINATIONS.index("Card X-Sell"), COMBINATIONS.index("Card Street"))
    codes = np.select([kind == m.CASH, kind == m.CONSUMER, kind == m.REVOLVING], [money, pos, card], -1)
    return Category(COMBINATIONS, codes)
