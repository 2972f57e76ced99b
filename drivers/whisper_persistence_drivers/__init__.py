"""The drivers that come with whisper-persistence."""
