"""The actor kernel: knows no bot, no SQL, no HTTP."""
