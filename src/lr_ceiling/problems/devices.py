"""Lists the GPUs without loading the libraries that use them."""

import os
import re
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
NODES = Path("/dev")


def gpus(nodes: Path = NODES) -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them.

    If CUDA_VISIBLE_DEVICES is set, its names are returned. Otherwise there is one GPU for each
    device node `nvidia0`, `nvidia1`, ... in the folder `nodes`. TensorFlow could list them too, but
    would also reserve their memory.
    """
    chosen = os.environ.get(VISIBLE)
    if chosen is None:
        found = [node for node in nodes.glob("nvidia*") if re.fullmatch(r"nvidia\d+", node.name)]
        # CUDA numbers the visible GPUs from 0, whatever the numbers of their nodes.
        return [str(place) for place in range(len(found))]
    names: list[str] = []
    for name in map(str.strip, chosen.split(",")):
        # CUDA ignores all names from the first invalid one on.
        if not name or name.startswith("-"):
            break
        names.append(name)
    return names
