"""Builds, pushes and pins the images. Holds their Dockerfile and the scripts of the build; not in the wheel."""
