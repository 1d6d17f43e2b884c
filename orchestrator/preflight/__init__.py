"""What a campaign would do, and what would go wrong, before anything moves."""
