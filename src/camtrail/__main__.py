"""`python -m camtrail`."""

from camtrail.cli.main import main

main()
