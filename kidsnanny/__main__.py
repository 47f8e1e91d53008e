"""`python -m kidsnanny`."""

from kidsnanny.cli import main

main()
