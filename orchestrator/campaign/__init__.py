"""The campaign: what is wanted, what is tried next, when it ends, who steers it."""
