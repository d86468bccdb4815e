from uncork.cli.main import main

main()
