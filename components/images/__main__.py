"""The images' command line, for the Makefile: `python -m images build|push|digests|pin|check-pins`, in a checkout."""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from images import builder, pins
from tiffin.errors import reported
from tiffin.storage.files import write_json

OUTPUT = Path("build/images")


def main() -> int:
    """Build, push or pin images."""
    parser = argparse.ArgumentParser(prog="python -m images")
    parser.add_argument("action", choices=("build", "push", "digests", "pin", "check-pins"))
    parser.add_argument("--base", default=os.environ.get("BASE") or builder.BASE)
    parser.add_argument("--digest", default=os.environ.get("BASE_DIGEST") or "")
    options = parser.parse_args()
    with reported(1):
        if options.action == "check-pins":
            sys.stdout.write("".join(f"{line}\n" for line in pins.check_pins(Path.cwd())))
            return 0
        program = builder.find_program()
        if options.action == "digests":
            for name, digest in builder.write_digests(program, OUTPUT / "digests.json").items():
                sys.stdout.write(f"{name}@{digest}\n")
            return 0
        if options.action == "pin":
            lines = pins.pin_images(Path.cwd(), partial(pins.resolve_digest, program))
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            return 0
        names = builder.image_names()
        if options.action == "push":
            # A core compresses one layer.
            with ThreadPoolExecutor() as pool:
                digests = dict(
                    zip(names.values(), pool.map(partial(builder.push, program), names.values()), strict=True)
                )
            write_json(OUTPUT / "pushed.json", digests)
            sys.stdout.write("".join(f"{name}@{digest}\n" for name, digest in digests.items()))
            return 0
        for environment, name in names.items():
            builder.build(program, Path.cwd(), environment, options.base, options.digest)
            builder.copy_materials(program, name, OUTPUT / f"{environment}.cdx.json")
            sys.stdout.write(f"{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
