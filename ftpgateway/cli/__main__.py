"""`python -m ftpgateway.cli` is `pixraft`."""

from ftpgateway.cli import main

if __name__ == "__main__":
    main()
