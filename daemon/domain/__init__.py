"""The pure domain: no clock, no I/O, no logging; time comes in as an argument."""
