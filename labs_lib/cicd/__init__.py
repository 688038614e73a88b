"""Module 3, CI/CD: its checks, the project that it works on, and its tools."""
