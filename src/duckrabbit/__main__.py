"""`python -m duckrabbit`: the command line."""

from duckrabbit.cli.main import main

if __name__ == "__main__":
    main()
