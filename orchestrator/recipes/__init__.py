"""From a chemist's variables to flows, and what they cost: pumps, tubes, constraints."""
