"""What a day of the zone balance costs, beside its peers."""
