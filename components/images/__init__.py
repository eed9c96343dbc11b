"""The images: their Dockerfile, how they are built, pushed and pinned, and what runs inside the build. Not in the wheel."""
