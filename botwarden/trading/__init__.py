"""Decisions: pure functions of state and input. No I/O, no clock, no floats for money."""
