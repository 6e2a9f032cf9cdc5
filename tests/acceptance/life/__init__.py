"""What people see of a container's life, with Docker, the real OpenCode and a scripted model."""
