"""What a running guard shows over HTTP: health, metrics, status, a page; and the kill switch, for a token.

Knows nothing of guards: it serves what it is handed (`views.Views`). Imported only where it is enabled, and
not before the guards have begun.
"""
