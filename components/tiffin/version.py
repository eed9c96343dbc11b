"""Version of the package, its images and its compiled specs."""

__version__ = "0.1.0"
