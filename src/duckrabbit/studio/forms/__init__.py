"""What each tab asks for."""
