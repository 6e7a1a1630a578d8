"""Pure state: claims, who waits for them, and what follows from them."""
