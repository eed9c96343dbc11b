"""The version of the package, of its images and of its compiled specs."""

__version__ = "0.1.0"
