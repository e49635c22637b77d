"""Views: linear isometries of pictures."""
