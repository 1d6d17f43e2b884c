"""The conductor: configuration, campaign loop, journal, safety, command line."""
