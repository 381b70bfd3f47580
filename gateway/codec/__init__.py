"""Codecs: what a payload says, as rows of text and numbers. Units, times and identities follow for many at once."""
