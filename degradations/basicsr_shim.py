"""Makes basicsr 1.4.2 importable on current torchvision; import it before the first `import basicsr`.

basicsr 1.4.2 asks for `torchvision.transforms.functional_tensor`, which torchvision 0.17 removed; the one name it wants
from there, `rgb_to_grayscale`, lives on in `torchvision.transforms.functional`, so an alias is the whole cure.
"""

import sys

import torchvision.transforms.functional as functional

sys.modules.setdefault("torchvision.transforms.functional_tensor", functional)
