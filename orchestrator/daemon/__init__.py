"""The daemon: rigs, their queues, and everything that speaks to them from outside."""
