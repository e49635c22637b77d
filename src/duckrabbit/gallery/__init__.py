"""The gallery: every experiment of Part A on one page."""
