"""Signals: trends and flags out of marts, as pure functions on frames and arrays."""
