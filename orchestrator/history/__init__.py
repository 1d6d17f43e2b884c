"""What a journal's events say: the state of a run as a fold over them."""
