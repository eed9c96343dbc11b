from tiffin.errors import reported
from tiffin.recorder.program import main

if __name__ == "__main__":
    with reported():
        raise SystemExit(main())
