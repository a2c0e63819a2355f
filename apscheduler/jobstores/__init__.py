"""Job stores keep jobs."""
