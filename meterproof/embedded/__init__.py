"""PostgreSQL and an MQTT broker from wheels, for newcomers and tests. Production points the settings at its own."""
