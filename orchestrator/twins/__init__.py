"""Digital twins of a whole rig: the only part of the conductor that knows the simulators.

``in_memory`` gives drivers the same bytes as steel, in virtual time; ``serving`` offers them on real ports.
"""

from orchestrator.twins.memory import MemoryWires
from orchestrator.twins.stage import BuildTwin, Setting, Stage, truth_world, world_spec

__all__ = ["BuildTwin", "MemoryWires", "Setting", "Stage", "truth_world", "world_spec"]
