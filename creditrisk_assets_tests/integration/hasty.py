"""The platform's own code location, in which the sensors that follow months look every few seconds: a drill waits for many looks."""

from creditrisk_assets.definitions import build_defs

LOOKING = ("on_drift", "on_performance", "on_new_month", "on_alert_condition")
SECONDS = 10

defs = build_defs()
for sensor in defs.sensors or ():
    if sensor.name in LOOKING:
        sensor._min_interval = SECONDS  # Dagster offers no other way to say it of a sensor that is there
