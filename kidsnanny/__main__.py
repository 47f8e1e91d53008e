"""`python -m kidsnanny`."""

from kidsnanny.cli.app import main

main()
