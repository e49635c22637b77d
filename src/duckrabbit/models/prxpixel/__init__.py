"""PRXPixel: a text-to-image transformer in pixels of one stage, on the straight path from noise of twice the size."""
