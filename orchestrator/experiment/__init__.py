"""The life of one experiment: dosing, settling, measuring, and the upkeep between."""
