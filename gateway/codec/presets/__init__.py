"""Dialects of well-known senders, each a mapping for the codec `json` and, where need be, a step before it."""
