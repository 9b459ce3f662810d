"""Started by `sandbox/isolation/boot.py` inside the root of the sandboxes; in each forked child, the runtime itself."""

import os
import sys

if __name__ == "__main__":
    import bootstrap
    from lambent_runtime import sandbox_init, zygote

    try:
        zygote.serve(int(sys.argv[1]), zygote.PythonRuntime(dict(os.environ)))
    except sandbox_init.BecomeRuntime:
        pass
    bootstrap.main()
