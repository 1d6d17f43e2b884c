"""What ``lumiflow doctor`` looks at before a rig is left alone: each check has a verdict, and says what to do."""

from __future__ import annotations

from orchestrator.doctor.examination import Examination, examine
from orchestrator.doctor.verdict import Check

__all__ = ["Check", "Examination", "examine"]
