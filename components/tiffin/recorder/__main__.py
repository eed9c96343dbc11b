from tiffin.errors import reported, watched
from tiffin.recorder.program import main

if __name__ == "__main__":
    watched("recorder")
    with reported():
        raise SystemExit(main())
