"""Interlocks: what they look for, how patient they are, and the trips that latch."""
