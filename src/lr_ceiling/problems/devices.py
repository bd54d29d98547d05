"""Which GPUs there are, found without the libraries that use them."""

import os
import re
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
NODES = Path("/dev")


def gpus(nodes: Path = NODES) -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them.

    They are those of CUDA_VISIBLE_DEVICES where it is set, else one for each device node
    `nvidia0`, `nvidia1`, ... in the folder `nodes`. An import of TensorFlow would tell as well, but
    would also take them.
    """
    chosen = os.environ.get(VISIBLE)
    if chosen is None:
        found = [node for node in nodes.glob("nvidia*") if re.fullmatch(r"nvidia\d+", node.name)]
        # CUDA counts those that it sees, whatever numbers their nodes have.
        return [str(place) for place in range(len(found))]
    names: list[str] = []
    for name in map(str.strip, chosen.split(",")):
        # CUDA sees those before the first that can't be.
        if not name or name.startswith("-"):
            break
        names.append(name)
    return names
