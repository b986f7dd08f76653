"""What a study asks for, whether this machine can give it, and what it costs: before anything is spent."""
