"""`tiffin notify`: send a test message to the addresses of notifications."""

import click

from tiffin.commands.options import debug_option, examples
from tiffin.commands.output import echo
from tiffin.errors import InputError


@click.command(
    epilog=examples(
        "tiffin notify",
        "tiffin notify --to ops",
        "tiffin notify --to json://127.0.0.1:8000/hook --message hello",
    )
)
@click.option(
    "--to", "to", multiple=True, metavar="TAG|URL", help="Tag of TIFFIN_NOTIFY, or URL. Repeatable.  [default: all]"
)
@click.option("--message", default="", metavar="TEXT", help="Text of the message.  [default: that it is a test]")
@debug_option
def notify(*, to: tuple[str, ...], message: str) -> None:
    """Send a test message to the addresses of TIFFIN_NOTIFY, and print what became of it at each.

    Exit with 1 if one did not take it.
    """
    from tiffin.notifications.addresses import VARIABLE, choose_addresses
    from tiffin.notifications.messages import make_test
    from tiffin.notifications.sending import send
    from tiffin.printing import printable

    addresses = choose_addresses(to)
    if not addresses:
        raise InputError(
            f"There should be addresses. Received: no --to, and {VARIABLE} is not set. Pass --to, or set {VARIABLE}, such as "
            "ops=json://127.0.0.1:8000/hook"
        )
    found = send(make_test(message), addresses)
    for one in found:
        echo(printable(f"not notified {one.address}: {one.problem}" if one.problem else f"notified {one.address}"))
    if any(one.problem for one in found):
        raise click.exceptions.Exit(1)
