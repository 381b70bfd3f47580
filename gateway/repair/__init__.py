"""Gap repair and clocks: concentrators are asked for what is missing, and offered the time."""
