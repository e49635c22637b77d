"""PixNerd: a text-to-image model in pixels of one stage, on the straight path from noise."""
