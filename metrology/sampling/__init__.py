"""Acceptance sampling: plans, what they achieve, and draws that anyone can recompute.

`plans` ISO 2859-1 single sampling · `switching` its severities · `characteristics` OC, AOQ, ASN ·
`design` plans computed for stated risks (ISO 2859-2, OIML G 20) · `variables` the s-method of ISO 3951-1 ·
`draw` samples from a published seed.
"""
