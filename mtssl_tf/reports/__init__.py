"""What a run tells: metrics, progress, pictures."""
