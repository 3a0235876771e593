"""Re-identification: learn what tells identities of one kind apart, and measure it."""
