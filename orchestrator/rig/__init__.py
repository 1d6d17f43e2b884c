"""The devices of a rig behind typed verbs, put together from its file, every verb traced."""
