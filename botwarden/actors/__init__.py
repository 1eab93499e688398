"""Thin shells around trading: receive, decide, commit, then act."""
