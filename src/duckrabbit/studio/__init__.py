"""The studio: a page on this machine where pictures are made, watched and kept."""
