"""`python -m ltv_guard` is the command."""

from ltv_guard.cli import main

if __name__ == "__main__":
    main()
