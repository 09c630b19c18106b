"""Makes pyiqa's models without waiting for a network that is not there, and without unpickling what it downloaded.

Its weights come from Hugging Face and lie in torch's hub folder ($TORCH_HOME/hub). Left to itself, pyiqa looks for some of
them for 50 seconds on a machine without network.
"""

import contextlib
import functools
import http.client
import io
import os
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from realciao.metrics.metric import MetricUnavailable

HOST = ("huggingface.co", 443)
PATIENCE_S = 0.7

ALEXNET, VGG16 = "checkpoints/alexnet-owt-7be5be79.pth", "checkpoints/vgg16-397923af.pth"
FILES = {
    "clipiqa": ("clip/RN50.pt",),
    # the + of this name is quoted in pyiqa's address, and so in its file
    "clipiqa+": ("clip/RN50.pt", "pyiqa/CLIP-IQA%2B_learned_prompts-603f3273.pth"),
    "dists": (VGG16, "pyiqa/DISTS_weights-f5e65c96.pth"),
    "liqe": ("clip/ViT-B-32.pt", "pyiqa/liqe_koniq.pt"),
    "liqe_mix": ("clip/ViT-B-32.pt", "pyiqa/liqe_mix.pt"),
    "lpips": (ALEXNET, "pyiqa/LPIPS_v0.1_alex-df73285e.pth"),
    "lpips-vgg": (VGG16, "pyiqa/LPIPS_v0.1_vgg-a78928a0.pth"),
    "maniqa": ("pyiqa/ckpt_koniq10k.pt",),
    "maniqa-pipal": ("pyiqa/MANIQA_PIPAL-ae6d356b.pth",),
    "musiq": ("pyiqa/musiq_koniq_ckpt-e95806b9.pth",),
    "topiq_fr": ("pyiqa/cfanet_fr_kadid_res50-2c4cc61d.pth",),
    "topiq_nr": ("pyiqa/cfanet_nr_koniq_res50-9a73138b.pth",),
}
"""What the best known metrics read below torch's hub folder: without network they are refused before pyiqa is imported, which
takes seconds. MANIQA and TOPIQ read a backbone from Hugging Face's own cache besides."""


@functools.cache
def online() -> bool:
    """Whether Hugging Face answers, by at most PATIENCE_S of trying; no, where HF_HUB_OFFLINE says so."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return False
    answered = threading.Event()

    def ask() -> None:
        with contextlib.suppress(OSError):
            socket.create_connection(HOST, PATIENCE_S).close()
            answered.set()

    # in a thread, because looking up a name has no time limit
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE_S)
    return answered.is_set()


def load_model(name: str, **options: Any) -> Any:
    """pyiqa's model of this name, on the CPU unless `device` says otherwise.

    Raises:
        MetricUnavailable: a file is missing and cannot be downloaded, is damaged, or holds more than tensors; or a library
            is missing.
    """
    hub = Path(torch.hub.get_dir())
    missing = [hub / file for file in FILES.get(name, ()) if not (hub / file).is_file()]
    if missing and not online():
        raise MetricUnavailable(
            f"{missing[0].name} is not in {missing[0].parent} and there is no network to download it; put it there"
        )
    try:
        with _careful(), contextlib.redirect_stdout(io.StringIO()):
            import pyiqa

            options.setdefault("device", torch.device("cpu"))
            return pyiqa.create_metric(name, **options)
    except ImportError as error:
        raise MetricUnavailable(f"pyiqa's {name} needs a library that is not installed ({error})") from error
    except pickle.UnpicklingError as error:
        raise MetricUnavailable(f"a weights file of pyiqa's {name} holds more than tensors and is not read") from error
    except (OSError, http.client.HTTPException, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        places = f"{hub}, or {_hugging_face_cache()}"
        raise MetricUnavailable(f"pyiqa cannot make {name} ({reason:.200}); its files belong in {places}") from error


def _hugging_face_cache() -> Path:
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "huggingface")
    return Path(home, "hub")


@contextlib.contextmanager
def _careful() -> Iterator[None]:
    """While it is entered torch unpickles tensors alone and, without network, nothing is asked for."""
    changes = {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"} | ({} if online() else {"HF_HUB_OFFLINE": "1"})
    constants = sys.modules.get("huggingface_hub.constants")
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, changes))
        if not online():
            if constants:  # it has read the environment already
                stack.enter_context(mock.patch.object(constants, "HF_HUB_OFFLINE", True))
            for module in ("torch.hub", "pyiqa.utils.download_util"):
                if module in sys.modules:
                    stack.enter_context(mock.patch(f"{module}.download_url_to_file", _refuse))
        yield


def _refuse(url: str, dst: str, *_: object, **__: object) -> None:
    raise FileNotFoundError(f"{Path(dst).name} is not in {Path(dst).parent} and there is no network to download it")
