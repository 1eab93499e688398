"""`python -m botwarden`, and the console script."""

from botwarden.cli.main import group


def main() -> None:
    """Run the command that the words of the command line name."""
    group(prog_name="botwarden")


if __name__ == "__main__":
    main()
