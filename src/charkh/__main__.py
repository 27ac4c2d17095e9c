"""`python -m charkh`: the command line."""

from charkh.cli.main import main

if __name__ == "__main__":
    main()
