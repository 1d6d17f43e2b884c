"""From counts to a peak, a width and a yield, each with its uncertainty. Pure."""
