"""The command line."""

from orchestrator.cli.commands import main

__all__ = ["main"]
