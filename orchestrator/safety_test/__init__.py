"""The proof test: every interlock and the guardian made to act, on twins or on the real rig, with the evidence kept."""

from orchestrator.safety_test.evidence import Evidence, Kept, as_text
from orchestrator.safety_test.run import SafetyTest, run_safety_test

__all__ = ["Evidence", "Kept", "SafetyTest", "as_text", "run_safety_test"]
