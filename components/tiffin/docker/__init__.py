"""The images: what they are built from, with what, and the engine that builds and runs them."""
