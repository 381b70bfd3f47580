"""The command line, the settings, the supervisor and the embedded servers."""
