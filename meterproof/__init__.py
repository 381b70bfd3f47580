"""meterproof"""
