from tiffin.errors import reported
from tiffin.observability.program import main

if __name__ == "__main__":
    with reported():
        raise SystemExit(main())
