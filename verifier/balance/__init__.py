"""The zone balance."""
