"""`python -m banditrft`: the command line, where `banditrft` itself is not on the path."""

from banditrft.cli import main

if __name__ == "__main__":
    main()
