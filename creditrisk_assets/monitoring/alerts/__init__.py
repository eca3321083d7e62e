"""The alert router: what open-source Dagster lacks between a state that went wrong and a person who hears of it.

`routing` plans (pure), `store` keeps alerts and their deliveries in one database, `delivery` sends, `configuration` says where to.
"""
