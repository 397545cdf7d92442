"""`python -m osteoform`: the command line without its launcher."""

from osteoform.cli import main

if __name__ == "__main__":
    main()
