"""The only clock: loops of asyncio in virtual time, at a pace, and by the wall."""
