"""Reading video and sound files by their timestamps."""
