"""The guardian: a small process of its own that outlives the daemon and brings its rigs to their safe state.

The daemon imports only `beat` and `diary` from here: it beats, and reads what was rescued. The guardian's own modules
know no campaign, no planner and no web server.
"""

from orchestrator.guardian.beat import BEAT_PERIOD_S, SILENCE_LIMIT_S, Heart, keep_beating

__all__ = ["BEAT_PERIOD_S", "SILENCE_LIMIT_S", "Heart", "keep_beating"]
