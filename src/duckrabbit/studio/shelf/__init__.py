"""What the studio was given, and what it keeps."""
